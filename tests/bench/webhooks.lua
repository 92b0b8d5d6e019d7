-- wrk script: each request posts the next of the prepared webhooks, every one different.
-- Arguments after --: file of webhooks (signature, space, body; one a line), header of the
-- signature, the number of threads. Prints one line of JSON when done.

local thread_number = 0
local lines = nil
local header, place, step = nil, 0, 1

function setup(thread)
    thread_number = thread_number + 1
    thread:set("number", thread_number)
end

function init(args)
    lines = io.lines(args[1])
    header = args[2]
    step = tonumber(args[3])
    -- each thread takes its share of the file
    for _ = 1, number - 1 do lines() end
end

function request()
    local line = lines()
    for _ = 1, step - 1 do lines() end
    if line == nil then
        -- the file was too short: this must show as a failure, not as a fast round
        return wrk.format("POST", "/used-up", {}, "")
    end
    local cut = string.find(line, " ", 1, true)
    return wrk.format(
        "POST", wrk.path,
        { ["Content-Type"] = "application/json", [header] = string.sub(line, 1, cut - 1) },
        string.sub(line, cut + 1)
    )
end

function done(summary, latency)
    io.write(string.format(
        '{"requests":%d,"seconds":%.6f,"failed":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,'
            .. '"max_ms":%.3f}\n',
        summary.requests,
        summary.duration / 1e6,
        summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write
            + summary.errors.timeout,
        latency:percentile(50) / 1000,
        latency:percentile(99) / 1000,
        latency.max / 1000
    ))
end

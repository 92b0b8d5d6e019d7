-- wrk script: each request posts the next of the prepared webhooks, every one different.
-- Arguments after --: file of webhooks (signature, space, body; one a line), header of the
-- signature. For one thread: each reads the file from its beginning. Prints one line of JSON when
-- done.

local lines = nil
local header = nil

function init(args)
    lines = io.lines(args[1])
    header = args[2]
end

function request()
    local line = lines()
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

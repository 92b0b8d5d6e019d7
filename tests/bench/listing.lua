-- wrk script: each request reads the next of some paths.
-- Arguments after --: file of paths, apikey, access token or "-". Prints one line of JSON.

local counter = 0
local paths, headers, base = {}, {}, ""

function init(args)
    for path in io.lines(args[1]) do
        paths[#paths + 1] = path
    end
    headers["apikey"] = args[2]
    headers["Authorization"] = "Bearer " .. (args[3] == "-" and args[2] or args[3])
    base = string.gsub(wrk.path, "/$", "")
    math.randomseed(os.time())
    counter = math.random(#paths)
end

function request()
    counter = counter + 1
    return wrk.format("GET", base .. paths[counter % #paths + 1], headers)
end

function done(summary, latency)
    io.write(string.format(
        '{"requests":%d,"seconds":%.6f,"failed":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,'
            .. '"max_ms":%.3f,"bytes":%d}\n',
        summary.requests,
        summary.duration / 1e6,
        summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write
            + summary.errors.timeout,
        latency:percentile(50) / 1000,
        latency:percentile(99) / 1000,
        latency.max / 1000,
        summary.bytes
    ))
end

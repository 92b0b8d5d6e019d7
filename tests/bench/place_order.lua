-- wrk script: each request places an order of a rotating shopper with a key of its own.
-- Arguments after --: file of access tokens, file of product ids, lines an order, a run's nonce,
-- apikey. Prints one line of JSON when done.

local counter = 0
local thread_number = 0
local tokens, products, headers = {}, {}, {}
local lines, nonce, base

local function read_lines(path)
    local rows = {}
    for row in io.lines(path) do
        rows[#rows + 1] = row
    end
    return rows
end

function setup(thread)
    thread_number = thread_number + 1
    thread:set("number", thread_number)
end

function init(args)
    tokens = read_lines(args[1])
    products = read_lines(args[2])
    lines = tonumber(args[3])
    nonce = args[4]
    base = string.gsub(wrk.path, "/$", "")
    math.randomseed(number * 7919 + tonumber(string.sub(nonce, -6), 16))
    for index, token in ipairs(tokens) do
        headers[index] = {
            ["Authorization"] = "Bearer " .. token,
            ["apikey"] = args[5],
            ["Content-Type"] = "application/json",
        }
    end
end

function request()
    counter = counter + 1
    local items = {}
    local first = math.random(#products)
    for index = 1, lines do
        -- distinct products in no particular order, as carts are
        local place = (first + index * 331) % #products + 1
        items[index] = string.format(
            '{"product_id":"%s","channel":"retail","quantity":%d}', products[place], index
        )
    end
    local body = string.format(
        '{"idempotency_key":"bench-%s-%d-%d","country":"CM","address":{"recipient_name":"Bench",'
            .. '"phone":"+237650000000","city":"Douala","landmark":"Akwa"},"items":[%s]}',
        nonce, number, counter, table.concat(items, ",")
    )
    return wrk.format("POST", base .. "/rpc/place_order", headers[math.random(#tokens)], body)
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

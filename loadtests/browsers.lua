-- Requests as Chrome sends them to a tag, from many pages and agents: no two of the 4,096 are alike.
local requests, next_one = {}, 0

function init(args)
  local path, connection = args[1], args[2] or "keep-alive"
  local agents = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
  }
  math.randomseed(531)
  for number = 1, 4096 do
    local cachebuster = string.format("%d%06d", number, math.random(0, 999999))
    wrk.headers = {
      ["Host"] = wrk.host .. ":" .. wrk.port,
      ["Connection"] = connection,
      ["sec-ch-ua-platform"] = '"Windows"',
      ["User-Agent"] = string.format(agents[number % 4 + 1], 100 + math.random(0, 49)),
      ["sec-ch-ua"] = '"Chromium";v="141", "Not?A_Brand";v="8"',
      ["sec-ch-ua-mobile"] = "?0",
      ["Accept"] = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
      ["Sec-Fetch-Site"] = "cross-site",
      ["Sec-Fetch-Mode"] = "no-cors",
      ["Sec-Fetch-Dest"] = "image",
      ["Sec-Fetch-Storage-Access"] = "active",
      ["Referer"] = "https://news" .. math.random(1, 200) .. ".example/section/article-" .. math.random(1, 5000),
      ["Accept-Encoding"] = "gzip, deflate, br, zstd",
      ["Accept-Language"] = "en-US,en;q=0.9",
    }
    requests[number] = wrk.format("GET", (path:gsub("CB", cachebuster)))
  end
end

function request()
  next_one = next_one % 4096 + 1
  return requests[next_one]
end

-- What HAProxy's configuration can't say: a request whose connection ended without an answer is sent to one other
-- instance, and never to a third. What made one process end might end them all.

-- The page for an answer that never came, as HAProxy has it (it stands in its folder).
local file = assert(io.open("502.http", "rb"))
local head, body = file:read("a"):match("^(.-\r\n)\r\n(.*)$")
file:close()
local page = {status = tonumber(head:match("^%S+ (%d+)")), headers = {}, body = body}
for name, value in head:gmatch("([%w-]+): (.-)\r\n") do
    if name ~= "Content-Length" then -- HAProxy counts by itself
        page.headers[name:lower()] = {value}
    end
end

-- Runs when the request was sent for the second time, and then at whatever happens on that connection.
core.register_action("once_more", {"tcp-res"}, function(txn)
    if txn.res:input() > 0 then
        return act.CONTINUE
    elseif txn.res:may_recv() then
        return act.YIELD
    end
    txn:done(txn:reply(page))
end)

-- The answer to a request whose first byte doesn't come within 30 seconds (H12).
--
-- HAProxy 2.6 has one `timeout server` for the first byte and for silence later on. The gateway sets it to the
-- 55 seconds of the latter; a tcp-response rule waits 30 seconds for the first byte and calls this if none came.
local page = assert(io.open(os.getenv("DAVIT_LATE_PAGE"), "r"))
local html = page:read("a")
page:close()

core.register_action("late", { "tcp-res" }, function(txn)
    local reply = txn:reply({ status = 503, reason = "Service Unavailable" })
    reply:add_header("Content-Type", "text/html; charset=utf-8")
    reply:add_header("Davit-Error", "H12")
    reply:set_body(html)
    txn:done(reply)
end)

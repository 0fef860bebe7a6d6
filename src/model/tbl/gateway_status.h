ENUM(gateway_state)
VALUE(GATEWAY_IS_STARTING, "starting", "has yet to say")
VALUE(GATEWAY_IS_OK, "ok", "serves")
VALUE(GATEWAY_IS_FAILING, "failing", "serves nobody, or by old settings; it goes on trying")
END_ENUM(gateway_state)

/* Vanishes with the gateway, by its lease. */
NOUN(gateway_status, "Whether the gateway of a machine serves")
KEY(gateway_status, "/gateway/%s", (const char *node), node)
CHOICE(gateway_status, gateway_state, state, "whether it serves")
FIELD(gateway_status, STRING, message, "why not")
FIELD(gateway_status, STRING, hint, "what to do about it")
WRITER(gateway, WRITES)
END(gateway_status)

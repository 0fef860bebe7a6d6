/* The operators of this davitd: OPERATOR(room) for each, whose `const struct operator_desc
 * ROOM_operator` says the rest. They are started and torn down in this order: what sends requests
 * before what answers them. */
OPERATOR(gateway)
OPERATOR(run)
OPERATOR(builder)
OPERATOR(api)

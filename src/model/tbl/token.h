/* hash: hex sha256 of the token. */
NOUN(token, "What a user signs in with")
KEY(token, "/tokens/%s", (const char *hash), hash)
NEEDED(token, STRING, user, "whose it is")
FIELD(token, STRING, name, "what it is for")
FIELD(token, STRING, created, "when it was made")
FIELD(token, STRING, expires, "empty: never")
WRITER(api, WRITES)
END(token)

/* Reads an HTTP/1.1 answer as it comes in pieces: status, chunked or counted body, the trailer
 * Davit-Result. Pure: who has bytes gives them in. */
#ifndef GIT_HOOK_ANSWER_H
#define GIT_HOOK_ANSWER_H

#include "base/str.h"

enum { LINE_MAX_LEN = 8192 };

enum answer_state {
    ANSWER_STATUS,
    ANSWER_HEADERS,
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK,
    ANSWER_CHUNK_END,
    ANSWER_TRAILERS,
    ANSWER_COUNTED, /* body with Content-Length */
    ANSWER_DONE,
};

struct answer {
    enum answer_state state;
    int status;
    bool chunked;
    uint64_t left;   /* of the chunk or the counted body */
    struct buf line; /* being gathered */
    char build[32];  /* of the header Davit-Build; "" if there is none */
    char result[32]; /* of the trailer; "" if there was none */
};

void answer_init(struct answer *a);
void answer_release(struct answer *a);
/* Takes in n bytes; what belongs to the body is added to `body`. ERR_INVALID if it isn't HTTP. */
int answer_feed(struct answer *a, const char *data, size_t n, struct buf *body, struct err *err);

#endif

/* A thread that writes to the store, with a handle of its own, so that the loop never waits for
 * it. Jobs are done in order. All functions are for the loop's thread. */
#ifndef OPERATOR_WRITER_H
#define OPERATOR_WRITER_H

#include <uv.h>

#include "store/store.h"

struct job {
    struct job *next;
    void (*work)(struct job *j, struct store *s); /* in the writer's thread */
    void (*done)(struct job *j);                  /* on the loop; not after writer_stop */
};

struct writer;

/* The store is the writer's from now on. */
struct writer *writer_start(uv_loop_t *loop, struct store *store);
/* The job is the writer's until `done`. */
void writer_do(struct writer *w, struct job *j);
/* Ends when all jobs are done; the loop must not run any more. NULL is fine. */
void writer_stop(struct writer *w);

#endif

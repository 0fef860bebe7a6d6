/* HAProxy's runtime sockets: one command or several, one answer each. Private to the room. */
#ifndef GATEWAY_RUNTIME_H
#define GATEWAY_RUNTIME_H

#include "gateway/haproxy.h"

/* Sends one line of commands, parted by ';', to a socket in HAProxy's folder and appends what it
 * answers until it closes. ERR_UNAVAILABLE: nobody listens. */
int runtime_send(const struct haproxy *h, const char *socket, const char *commands, struct buf *ret,
                 struct err *err);
/* The same to one worker: the serving one through its own socket; a former one through the master,
 * and only one command. One that has ended just now answers nothing of use. */
int runtime_ask(const struct haproxy *h, pid_t worker, const char *commands, struct buf *ret,
                struct err *err);
/* Reads the master's list of processes into h->former; ERR_UNAVAILABLE if there is no worker.
 * Sets *ret_master and *ret_worker. */
int runtime_processes(struct haproxy *h, pid_t *ret_master, pid_t *ret_worker, struct err *err);

#endif

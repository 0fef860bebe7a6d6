/* A listening socket and the HTTP server behind it. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "api/api.h"

enum door {
    DOOR_LOCAL,   /* run/davit/davit.sock: peer credentials or a token */
    DOOR_GATEWAY, /* run/davit/gateway-api.sock: a token, always */
};

struct server;

int server_start(struct api *api, enum door door, struct server **ret, struct err *err);
/* Ends every connection and removes the socket. NULL is fine. */
void server_stop(struct server *s);
enum door server_door(const struct server *s);
struct api *server_api(const struct server *s);
/* A connection of this server was resumed: let libmicrohttpd look at it soon. */
void server_kick(struct server *s);

#endif

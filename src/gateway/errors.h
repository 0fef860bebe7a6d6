/* The one table of what the gateway answers when an app can't: X(code, HTTP status, text, hint).
 * The texts are Heroku's, known to whoever has run an app there. Hints are for programs and shells;
 * people get the pages in data/errors. */
#ifndef GATEWAY_ERRORS_H
#define GATEWAY_ERRORS_H

/* clang-format off */
#define GATEWAY_ERRORS(X)                                                                          \
    X(H10, 503, "App crashed", "it is being restarted; davit logs says why it ended")              \
    X(H12, 503, "Request timeout", "")                                                             \
    X(H13, 503, "Connection closed without response", "")                                          \
    X(H14, 503, "No web processes running", "davit scale web=1, if its Procfile names web")        \
    X(H15, 503, "Idle connection", "")                                                             \
    X(H18, 503, "Server Request Interrupted", "")                                                  \
    X(H19, 503, "Backend connection timeout", "")                                                  \
    X(H20, 503, "App boot timeout", "it is not ready yet; try again in a moment")                  \
    X(H21, 503, "Backend connection refused", "")                                                  \
    X(H25, 503, "HTTP restriction: malformed response, or more than 15 KB of headers", "")         \
    X(H27, 499, "Client Request Interrupted", "")                                                  \
    X(H80, 503, "Maintenance mode", "the app will be back soon")                                   \
    X(H99, 503, "Platform error", "davitd.log on the server says more")
/* clang-format on */

enum gateway_error {
    GATEWAY_OK,
#define X(code, status, text, hint) GATEWAY_##code,
    GATEWAY_ERRORS(X)
#undef X
};

/* "H14"; NULL for GATEWAY_OK. */
const char *gateway_error_code(enum gateway_error e);
/* "No web processes running" */
const char *gateway_error_text(enum gateway_error e);
/* "the app will be back soon"; "" if nothing is to be said. */
const char *gateway_error_hint(enum gateway_error e);

#endif

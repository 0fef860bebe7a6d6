#include "api/handlers.h"

int handle_logs(struct request *rq, struct err *err)
{
    (void)rq;
    return err_set(err, ERR_UNAVAILABLE, "logs are not readable yet");
}

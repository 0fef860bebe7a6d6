#include "http/identity.h"

void identity_release(struct identity *who)
{
    free(who->user);
    free(who->from);
    free(who->token);
    *who = (struct identity){0};
}

int identity_need(struct identity *who, enum role least, struct err *err)
{
    who->needed = MAX(who->needed, least);
    if (who->role >= least)
        return 0;
    err_set(err, ERR_FORBIDDEN, "this needs role %s, and %s has role %s", role_names[least],
            who->user, role_names[who->role]);
    return err_hint(err, "an admin can change your role");
}

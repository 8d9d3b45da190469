#include "lib/user.h"

#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

#include "lib/buffer.h"
#include "lib/config.h"

int
user_find(const struct config *config, uid_t *uid_r, gid_t *gid_r,
          struct buffer *why)
{
    const struct passwd *user;
    const struct group *group;

    if (geteuid() != 0 || config->runasuser[0] == '\0')
        return 0;
    user = getpwnam(config->runasuser);
    if (user == NULL)
        return why_set(why, "runasuser: there is no user %s",
                       config->runasuser);
    *uid_r = user->pw_uid;
    *gid_r = user->pw_gid;
    if (config->runasgroup[0] == '\0')
        return 1;
    group = getgrnam(config->runasgroup);
    if (group == NULL)
        return why_set(why, "runasgroup: there is no group %s",
                       config->runasgroup);
    *gid_r = group->gr_gid;
    return 1;
}

int
user_become(const struct config *config, struct buffer *why)
{
    uid_t uid = 0;
    gid_t gid = 0;
    int found = user_find(config, &uid, &gid, why);

    if (found <= 0)
        return found;
    if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0
        || setresuid(uid, uid, uid) < 0)
        return why_set_errno(why, "runasuser: cannot become %s",
                             config->runasuser);
    if (uid != 0 && (setuid(0) == 0 || setresuid(0, 0, 0) == 0))
        return why_set(why, "runasuser: could still become root again");
    return 0;
}

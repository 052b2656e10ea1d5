// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/verbs.h"

#include <map>

namespace desk {

std::function<void(Ctl&)> verbFor(const std::string& words)
{
    static const std::map<std::string, void (*)(Ctl&)> kVerbs {
        { "connections list", listConnections },
        { "connections add", addConnection },
        { "connections remove", removeConnection },
        { "connections test", testConnection },
        { "jobs list", listJobs },
        { "jobs show", showJob },
        { "jobs create", createJob },
        { "jobs resume", resumeJob },
        { "jobs cancel", cancelJob },
        { "jobs delete", deleteJob },
        { "checkpoints list", listCheckpoints },
        { "checkpoints show", showCheckpoint },
        { "checkpoints extend", extendCheckpoint },
        { "checkpoints delete", deleteCheckpoints },
        { "models list", listModels },
        { "models show", showModel },
        { "models delete", deleteModel },
        { "models export", exportModel },
        { "deployments list", listDeployments },
        { "deployments show", showDeployment },
        { "deployments create", createDeployment },
        { "deployments delete", deleteDeployment },
        { "deployments scale", scaleDeployment },
        { "deployments previous", previousSnapshot },
        { "resume-ref", resumeReference },
        { "save", save },
        { "promote", promote },
        { "hotload", hotload },
        { "operations list", listOperations },
        { "operations show", showOperation },
        { "operations reconcile", reconcileOperations },
        { "train", train },
        { "rehearse", rehearse },
        { "metrics read", readMetrics },
        { "complete", complete },
    };
    const auto found = kVerbs.find(words);
    return found == kVerbs.end() ? nullptr : std::function<void(Ctl&)>(found->second);
}

} // namespace desk

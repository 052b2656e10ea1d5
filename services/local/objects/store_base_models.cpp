// SPDX-License-Identifier: GPL-3.0-or-later
// Models by the names that clients use.
#include "services/core/resource_name.h"
#include "services/local/objects/object_store.h"

#include <utility>

namespace desk::local {

void ObjectStore::setStandInMaker(
    StandInMaker maker, std::function<std::string(const std::string&)> note)
{
    m_standIns = std::move(maker);
    m_standInNote = std::move(note);
}

Result<ModelRow> ObjectStore::namedModel(const std::string& name) const
{
    const auto id = std::string(lastSegment(name));
    const bool isOurs = name == id || name == modelName(m_account, id);
    if (isOurs && isSafeId(id)) {
        auto row = model(id);
        if (row || row.error().code != Error::Code::NotFound || !m_standIns)
            return row;
    }
    if (m_standIns)
        return m_standIns(name);
    return Error { Error::Code::NotFound, "there is no model " + name, "nothing was changed",
        "use a model of this account", {} };
}

} // namespace desk::local

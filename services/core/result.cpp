// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/result.h"

namespace desk {

const char* toString(Error::Code code) noexcept
{
    switch (code) {
    case Error::Code::Usage:
        return "usage";
    case Error::Code::Unreadable:
        return "unreadable";
    case Error::Code::Malformed:
        return "malformed";
    case Error::Code::Refused:
        return "refused";
    case Error::Code::NotFound:
        return "not_found";
    case Error::Code::Conflict:
        return "conflict";
    case Error::Code::Auth:
        return "auth";
    case Error::Code::Quota:
        return "quota";
    case Error::Code::Unreachable:
        return "unreachable";
    case Error::Code::Backend:
        return "backend";
    case Error::Code::Canceled:
        return "cancelled";
    case Error::Code::Unknown:
        return "unknown";
    case Error::Code::Full:
    case Error::Code::OutOfMemory:
        return "full";
    }
    return "backend";
}

} // namespace desk

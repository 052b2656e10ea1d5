// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"

#include <QString>

namespace desk {

/// How the exact request of a review is written down.
enum class RequestForm
{
    Curl,
    Http
};

/// The request as a person can paste it. The key is never part of it: curl gets it from
/// $FIREWORKS_API_KEY. A request that is no HTTP (a line for a run's control socket) reads the same
/// in both forms. Text from outside is quoted for a POSIX shell.
[[nodiscard]] QString requestText(const RequestPreview& request, RequestForm form);

} // namespace desk

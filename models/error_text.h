// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QString>

namespace desk {

/// What a person is told about a failure: three sentences at most, in this order.
struct ErrorText
{
    QString what; ///< what happened
    QString unchanged; ///< what did not happen
    QString next; ///< what to do
    QString details; ///< code and request id, for a support request
    /// The three sentences joined by blanks.
    [[nodiscard]] QString oneLine() const;
};

/// Sentences for an Error: those that the service wrote, completed by the general ones of its code
/// where it left them out.
[[nodiscard]] ErrorText errorText(const Error& error);

} // namespace desk

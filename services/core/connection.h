// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace desk {

/// How much a connection asks before something is sent (ui.md section 2.7).
enum class SafetyLevel
{
    Free = 0, ///< the sheet opens, commit needs no second step: the local backend
    Confirm = 1,
    TypeName = 2
};

/// One control plane the desk talks to. The key is not part of it: keys live in KeyStore.
struct Connection
{
    std::string name; ///< chosen by the user, unique; "local" is the profile's own backend
    std::string url; ///< origin without a trailing slash, e.g. "https://api.fireworks.ai"
    std::string account; ///< account id without "accounts/"; empty: not resolved yet
    SafetyLevel safetyLevel = SafetyLevel::Confirm;
    bool isLocal = false; ///< the embedded backend of this machine
    std::string color; ///< "#rrggbb" of the connection's marker; empty: none
    std::string caFile; ///< extra CA certificates (PEM) for this connection; empty: none
    bool operator==(const Connection&) const = default;
};

} // namespace desk

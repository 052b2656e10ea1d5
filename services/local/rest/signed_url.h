// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/clock.h"
#include "services/core/result.h"

#include <string>
#include <string_view>

namespace desk::local {

/// Makes and checks the query of links that work without a key for a while: the time of their end
/// and an HMAC-SHA-256 over the path and that time, with the backend's key. THREAD: any.
class UrlSigner
{
public:
    explicit UrlSigner(std::string key);

    /// "expires=<seconds since the epoch>&signature=<64 hexadecimal digits>"; `path` begins with
    /// '/' and is as HttpRequest::path() will show it.
    [[nodiscard]] std::string query(std::string_view path, Time expires) const;
    /// Auth for a signature that is not of this path and time, or that is over.
    [[nodiscard]] Status check(std::string_view path, const std::string& expires,
        const std::string& signature, Time now) const;

private:
    [[nodiscard]] std::string signature(std::string_view path, std::string_view expires) const;
    std::string m_key;
};

/// The lower-case hexadecimal digits of a SHA-256.
[[nodiscard]] std::string sha256Hex(std::string_view bytes);

} // namespace desk::local

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <map>
#include <string>
#include <string_view>

// Error bodies of every surface (gateway.md 1.8, trainer.md 9) and what a status means to us.
// THREAD: any.

namespace desk {

/// `{"code":<grpc>,"message":…,"details":[]}`, the triple that every reader of the service accepts.
[[nodiscard]] std::string encodeError(int httpStatus, std::string_view message);
/// google.rpc.ErrorInfo of a control-plane error (gateway.md 8, fireworks-sdk-1.2.30.md 17.4).
struct ErrorInfo
{
    std::string reason; ///< INVALID_INPUT, RESOURCE_NOT_FOUND, QUOTA_EXCEEDED, …; empty: none
    std::map<std::string, std::string> metadata; ///< quota_required, quota_available
};
/// The triple with the information as its only detail.
[[nodiscard]] std::string encodeError(
    int httpStatus, std::string_view message, const ErrorInfo& info);
/// The first ErrorInfo of a body, wrapped in "error" or not; an empty reason if there is none.
[[nodiscard]] ErrorInfo decodeErrorInfo(std::string_view body);
/// The HTTP status that says this code: Refused 400, Auth 401, NotFound 404, Conflict 409,
/// Quota 429, Unknown and Backend 500, …
[[nodiscard]] int httpStatusFor(Error::Code code) noexcept;

/// The server's message: `error.message`, `error` as text, `message`, `detail`, or the first 200
/// characters of what is no JSON. Control characters become spaces; at most 2,000 bytes.
[[nodiscard]] std::string decodeErrorMessage(std::string_view body);
/// 400, 412, 422 … Refused; 401, 403 Auth; 404, 410 NotFound; 409 Conflict; 402, 429 Quota;
/// 507 Full; 5xx, 408 and anything else Backend. `doing` names the attempt: "promote the
/// checkpoint".
[[nodiscard]] Error errorFromReply(
    int httpStatus, std::string_view body, std::string_view doing, std::string_view requestId);

} // namespace desk

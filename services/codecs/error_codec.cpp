// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/error_codec.h"

#include "services/codecs/json_read.h"

#include <algorithm>
#include <array>

namespace desk {
namespace {

    constexpr std::size_t kMaxMessage = 2000;
    constexpr std::size_t kMaxPlainMessage = 200;
    constexpr const char* kErrorInfoType = "type.googleapis.com/google.rpc.ErrorInfo";

    struct StatusRow
    {
        int httpStatus;
        int grpcCode;
        Error::Code code;
        const char* next;
    };
    // gateway.md 1.8; the advice follows the SDK's hints.
    constexpr const char* kTryAgain = "Try again; if it stays, look at the server's log";
    constexpr std::array kStatusRows {
        StatusRow { 400, 3, Error::Code::Refused, "Change what the server names and try again" },
        StatusRow { 401, 16, Error::Code::Auth,
            "Check the key of this connection; training needs a key with training scope" },
        StatusRow { 402, 8, Error::Code::Quota, "Settle the account's payment, then try again" },
        StatusRow { 403, 7, Error::Code::Auth,
            "The key is valid but may not do this: check its scope and the account's tier" },
        StatusRow { 404, 5, Error::Code::NotFound, "Check the id and the account" },
        StatusRow { 408, 4, Error::Code::Backend, kTryAgain },
        StatusRow { 409, 6, Error::Code::Conflict, "Look at what exists under this name" },
        StatusRow { 410, 5, Error::Code::NotFound, "It has expired; start again from a newer one" },
        StatusRow { 412, 9, Error::Code::Refused, "Change what the server names and try again" },
        StatusRow { 413, 11, Error::Code::Refused, "Send less in one request" },
        StatusRow { 422, 3, Error::Code::Refused, "Change what the server names and try again" },
        StatusRow { 425, 9, Error::Code::Refused, "It is not ready yet: wait and try again" },
        StatusRow { 429, 8, Error::Code::Quota, "Wait, or ask for more quota" },
        StatusRow { 431, 11, Error::Code::Refused, "Send fewer or shorter headers" },
        StatusRow { 499, 1, Error::Code::Canceled, "" },
        StatusRow { 500, 13, Error::Code::Backend, kTryAgain },
        StatusRow { 501, 12, Error::Code::Refused, "This server does not offer it" },
        StatusRow { 502, 14, Error::Code::Backend, kTryAgain },
        StatusRow { 503, 14, Error::Code::Backend, kTryAgain },
        StatusRow { 504, 4, Error::Code::Backend, kTryAgain },
        StatusRow { 507, 8, Error::Code::Full, "Free space on the server, then try again" },
    };

    StatusRow statusRow(int httpStatus)
    {
        for (const auto& row : kStatusRows) {
            if (row.httpStatus == httpStatus)
                return row;
        }
        const bool isRefusal = httpStatus >= 400 && httpStatus < 500;
        return { httpStatus, isRefusal ? 3 : 2,
            isRefusal ? Error::Code::Refused : Error::Code::Backend, kTryAgain };
    }

    std::string clipped(std::string_view text, std::size_t limit)
    {
        if (text.size() > limit) {
            // Not in the middle of a UTF-8 sequence.
            while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0U) == 0x80U)
                --limit;
            text = text.substr(0, limit);
        }
        std::string out(text);
        std::replace_if(
            out.begin(), out.end(),
            [](char c) { return static_cast<unsigned char>(c) < 0x20U || c == 0x7F; }, ' ');
        const auto first = out.find_first_not_of(' ');
        if (first == std::string::npos)
            return {};
        return out.substr(first, out.find_last_not_of(' ') - first + 1);
    }

    std::string fieldText(const Json& field)
    {
        return field.is_string() ? field.get<std::string>() : toText(field);
    }

} // namespace

std::string encodeError(int httpStatus, std::string_view message)
{
    Json body;
    body["code"] = statusRow(httpStatus).grpcCode;
    body["message"] = std::string(message);
    body["details"] = Json::array();
    return toText(body);
}

std::string encodeError(int httpStatus, std::string_view message, const ErrorInfo& info)
{
    if (info.reason.empty())
        return encodeError(httpStatus, message);
    Json detail;
    detail["@type"] = kErrorInfoType;
    detail["reason"] = info.reason;
    detail["domain"] = "training.fireworks.ai";
    detail["metadata"]["version"] = "1";
    detail["metadata"]["source"] = "lifecycle";
    for (const auto& [key, value] : info.metadata)
        detail["metadata"][key] = value;
    Json body;
    // Both are 400; FAILED_PRECONDITION says that the state of things is in the way.
    const bool isPrecondition = httpStatus == 400 && info.reason == "PREREQUISITE_NOT_MET";
    body["code"] = isPrecondition ? 9 : statusRow(httpStatus).grpcCode;
    body["message"] = std::string(message);
    body["details"] = Json::array({ std::move(detail) });
    return toText(body);
}

ErrorInfo decodeErrorInfo(std::string_view body)
{
    const auto object = parseObject(body, "error");
    if (!object)
        return {};
    const auto* error = findField(*object, { "error" });
    const auto* details =
        findField(error != nullptr && error->is_object() ? *error : *object, { "details" });
    if (details == nullptr || !details->is_array())
        return {};
    for (const auto& detail : *details)
        if (readText(detail, { "@type" }) == kErrorInfoType)
            return { readText(detail, { "reason" }), readTextMap(detail, { "metadata" }) };
    return {};
}

int httpStatusFor(Error::Code code) noexcept
{
    switch (code) {
    case Error::Code::Usage:
    case Error::Code::Malformed:
    case Error::Code::Refused:
        return 400;
    case Error::Code::Auth:
        return 401;
    case Error::Code::NotFound:
        return 404;
    case Error::Code::Conflict:
        return 409;
    case Error::Code::Quota:
        return 429;
    case Error::Code::Canceled:
        return 499;
    case Error::Code::Full:
        return 507;
    case Error::Code::Unreachable:
    case Error::Code::OutOfMemory:
        return 503;
    case Error::Code::Unreadable:
    case Error::Code::Backend:
    case Error::Code::Unknown:
        return 500;
    }
    return 500;
}

std::string decodeErrorMessage(std::string_view body)
{
    const auto object = parseObject(body, "error");
    if (!object)
        return clipped(body, kMaxPlainMessage);
    const auto* error = findField(*object, { "error" });
    const Json& holder = error != nullptr ? *error : *object;
    if (!holder.is_object())
        return clipped(fieldText(holder), kMaxMessage);
    if (const auto* message = findField(holder, { "message", "detail" }); message != nullptr)
        return clipped(fieldText(*message), kMaxMessage);
    auto shown = holder;
    redact(shown);
    return clipped(shown.empty() ? std::string() : toText(shown), kMaxMessage);
}

Error errorFromReply(
    int httpStatus, std::string_view body, std::string_view doing, std::string_view requestId)
{
    const auto row = statusRow(httpStatus);
    auto message = decodeErrorMessage(body);
    while (!message.empty() && message.back() == '.')
        message.pop_back();
    Error error;
    error.code = row.code;
    error.message = "Could not " + std::string(doing.empty() ? "finish the request" : doing) + ": "
        + (message.empty() ? std::string("the server gave no reason") : message) + " (HTTP "
        + std::to_string(httpStatus) + ")";
    if (httpStatus >= 400 && httpStatus < 500 && httpStatus != 408)
        error.unchanged = "Nothing was changed on the server";
    error.next = row.next;
    error.requestId = clipped(requestId, 200);
    return error;
}

} // namespace desk

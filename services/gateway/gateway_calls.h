// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/json_text.h"
#include "services/core/result.h"
#include "services/errand.h"
#include "services/http/http_client.h"

#include <QByteArray>
#include <QString>

#include <functional>
#include <map>
#include <string>
#include <string_view>

// What every call of the control plane needs: requests from parts, values from replies.

namespace desk {

[[nodiscard]] inline std::string_view textOf(const QByteArray& body)
{
    return { body.constData(), static_cast<std::size_t>(body.size()) };
}

[[nodiscard]] inline QString queryText(const std::map<std::string, std::string>& query)
{
    return QString::fromStdString(encodeQuery(query));
}

/// `path` with the encoded query appended, if there is one.
[[nodiscard]] inline std::string targetPath(const std::string& path, const QString& query)
{
    const auto trimmed = path.back() == '/' ? path.substr(0, path.size() - 1) : path;
    return query.isEmpty() ? trimmed : trimmed + "?" + query.toStdString();
}

/// Without URL and body. `doing` names the attempt in error messages.
[[nodiscard]] inline HttpRequest makeRequest(
    const char* method, std::string doing, bool isIdempotent)
{
    HttpRequest request;
    request.method = method;
    request.doing = std::move(doing);
    request.isIdempotent = isIdempotent;
    if (request.method == "GET")
        request.totalTimeout = std::chrono::seconds(30);
    return request;
}

[[nodiscard]] inline HttpRequest getRequest(const HttpClient& http, const std::string& path,
    const std::map<std::string, std::string>& query, std::string doing)
{
    auto request = makeRequest("GET", std::move(doing), true);
    request.url = http.url(query.empty() ? path : path + "?" + encodeQuery(query));
    return request;
}

/// A creation whose answer leaves open whether the id exists now.
[[nodiscard]] inline bool mayHaveCreated(const Error& error)
{
    return error.code == Error::Code::Conflict || error.code == Error::Code::Unknown
        || error.code == Error::Code::Backend || error.code == Error::Code::Malformed;
}

/// The error of such a creation when the id was not found: it may still come.
[[nodiscard]] inline Error unsettled(Error error)
{
    error.code = Error::Code::Unknown;
    error.unchanged = "It does not exist so far, and it was not sent again";
    error.next = "Reconcile, to see whether it comes";
    return error;
}

template <class T>
[[nodiscard]] std::function<Result<T>(const HttpReply&)> decodedBy(
    Result<T> (*decode)(std::string_view))
{
    return [decode](const HttpReply& reply) { return decode(textOf(reply.body)); };
}

/// For answers whose body says nothing.
[[nodiscard]] inline Status ignoredBody(const HttpReply&)
{
    return done();
}

template <class T>
[[nodiscard]] QFuture<Result<T>> replyAs(QFuture<Result<HttpReply>> reply, QObject* guard,
    std::function<Result<T>(const HttpReply&)> decode)
{
    return mapFuture<T>(
        std::move(reply), guard, [decode = std::move(decode)](const Result<HttpReply>& answer) {
            return answer ? decode(*answer) : Result<T>(answer.error());
        });
}

} // namespace desk

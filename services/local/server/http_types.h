// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace desk::local {

struct HttpHeader
{
    std::string name;
    std::string value;
};

/// One request, already bounded by HttpLimits.
struct HttpRequest
{
    std::string method; ///< upper case
    std::vector<std::string> segments; ///< of the path, percent-decoded, empty ones dropped
    std::map<std::string, std::string> query; ///< decoded; the last of equal names wins
    std::vector<HttpHeader> headers;
    std::string body;
    /// Set by the router from its pattern, e.g. {"job","training-api-service-1"}.
    std::map<std::string, std::string> parameters;
    /// Trainer that the URL prefix names (`…/rlorTrainerJobs/<account>/<job>/api/v1/…`); empty when
    /// the request came without one.
    std::string trainerAccount;
    std::string trainerJob;
    /// Replica that an injected fault lets fail, counted from 1; 0: none.
    int faultReplica = 0;

    /// Value of a header by its name in any case; empty if it is absent.
    [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
    /// "/" and the segments, joined.
    [[nodiscard]] std::string path() const;
    [[nodiscard]] std::string queryValue(const std::string& name) const;
    [[nodiscard]] std::string parameter(const std::string& name) const;
};

struct HttpResponse
{
    int status = 200;
    std::string body;
    std::string contentType = "application/json";
    std::vector<HttpHeader> headers;
    bool closesConnection = false;
};

/// Fills `segments` and `query` of a request from a request target; false if it is malformed.
[[nodiscard]] bool splitTarget(std::string_view target, HttpRequest& request);

/// ASCII comparison without regard to case.
[[nodiscard]] bool equalsIgnoringCase(std::string_view a, std::string_view b) noexcept;

/// The one answer to one request. It may be kept and answered later, so a long poll holds no
/// thread. THREAD: any; only the first answer counts. When the last copy goes unanswered, the
/// client gets a 500.
class Responder
{
public:
    class Channel
    {
    public:
        Channel() = default;
        Channel(const Channel&) = delete;
        Channel& operator=(const Channel&) = delete;
        virtual ~Channel() = default;
        virtual void send(HttpResponse response) = 0;
        virtual void drop() = 0;
    };

    Responder() = default;
    explicit Responder(std::shared_ptr<Channel> channel);
    void send(HttpResponse response) const;
    /// Closes the connection without an answer.
    void drop() const;

private:
    std::shared_ptr<Channel> m_channel;
};

/// A responder that hands the answer to a function; nullopt-like `isDropped` when it was dropped.
[[nodiscard]] Responder makeResponder(std::function<void(HttpResponse, bool isDropped)> deliver);

using HttpHandler = std::function<void(HttpRequest, Responder)>;

} // namespace desk::local

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
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
    /// Called on the server's thread once the whole answer was written to a connection whose client
    /// had not hung up; never called otherwise.
    std::function<void()> onDelivered {};
};

/// Fills `segments` and `query` of a request from a request target; false if it is malformed.
[[nodiscard]] bool splitTarget(std::string_view target, HttpRequest& request);

/// ASCII comparison without regard to case.
[[nodiscard]] bool equalsIgnoringCase(std::string_view a, std::string_view b) noexcept;

/// Is the client of a request still there? Set by the server, asked by whoever keeps the request.
/// THREAD: any.
class Presence
{
public:
    [[nodiscard]] bool isGone() const;
    /// Runs once when the client goes before it was answered; at once if it has gone.
    void onGone(std::function<void()> run);
    void leave(); ///< the client hung up
    void close(); ///< the request was answered: nobody is told any more

private:
    mutable std::mutex m_mutex;
    bool m_isGone = false;
    bool m_isClosed = false;
    std::vector<std::function<void()>> m_runs;
};

/// An answer in parts, sent as they come. THREAD: any; calls do not wait for the client.
class ResponseStream
{
public:
    class Sink
    {
    public:
        Sink() = default;
        Sink(const Sink&) = delete;
        Sink& operator=(const Sink&) = delete;
        virtual ~Sink() = default;
        virtual void write(std::string bytes) = 0;
        virtual void end() = 0;
        virtual void drop() = 0;
    };
    ResponseStream() = default;
    explicit ResponseStream(std::shared_ptr<Sink> sink)
        : m_sink(std::move(sink))
    {
    }
    /// A client that does not read (16 MiB behind) is dropped.
    void write(std::string bytes) const;
    void end() const; ///< the answer is complete
    void drop() const; ///< closes the connection in the middle of the answer

private:
    std::shared_ptr<Sink> m_sink;
};

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
        [[nodiscard]] virtual std::shared_ptr<ResponseStream::Sink> stream(HttpResponse head) = 0;
        [[nodiscard]] virtual std::shared_ptr<Presence> presence() const = 0; ///< may be null
    };

    Responder() = default;
    explicit Responder(std::shared_ptr<Channel> channel);
    void send(HttpResponse response) const;
    /// Begins an answer whose body comes in parts (chunked); the body of `head` is the first one.
    [[nodiscard]] ResponseStream stream(HttpResponse head) const;
    /// Closes the connection without an answer.
    void drop() const;
    /// Of the client; null where the server cannot tell.
    [[nodiscard]] std::shared_ptr<Presence> presence() const
    {
        return m_channel ? m_channel->presence() : nullptr;
    }
    [[nodiscard]] bool isGone() const;
    /// Presence::onGone of the request; does nothing where the server cannot tell.
    void onGone(std::function<void()> run) const;

private:
    std::shared_ptr<Channel> m_channel;
};

/// A responder that hands the answer to a function; nullopt-like `isDropped` when it was dropped.
/// Without `openStream` an answer in parts is gathered and sent at its end.
[[nodiscard]] Responder makeResponder(std::function<void(HttpResponse, bool isDropped)> deliver,
    std::shared_ptr<Presence> presence = {},
    std::function<std::shared_ptr<ResponseStream::Sink>(HttpResponse head)> openStream = {});

using HttpHandler = std::function<void(HttpRequest, Responder)>;

} // namespace desk::local

// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/http_types.h"

#include <atomic>
#include <utility>

namespace desk::local {

namespace {

    char lowerAscii(char c) noexcept
    {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }

    int hexDigit(char c) noexcept
    {
        if (c >= '0' && c <= '9')
            return c - '0';
        const char lower = lowerAscii(c);
        return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    }

    bool percentDecode(std::string_view text, bool plusIsSpace, std::string& out)
    {
        out.clear();
        out.reserve(text.size());
        for (std::size_t i = 0; i < text.size(); ++i) {
            char c = text[i];
            if (c == '%') {
                if (i + 2 >= text.size())
                    return false;
                const int high = hexDigit(text[i + 1]);
                const int low = hexDigit(text[i + 2]);
                if (high < 0 || low < 0)
                    return false;
                c = static_cast<char>(high * 16 + low);
                i += 2;
            } else if (plusIsSpace && c == '+') {
                c = ' ';
            }
            if (c == '\0')
                return false;
            out.push_back(c);
        }
        return true;
    }

    bool splitQuery(std::string_view query, std::map<std::string, std::string>& out)
    {
        while (!query.empty()) {
            const auto end = query.find('&');
            const auto pair = query.substr(0, end);
            query = end == std::string_view::npos ? std::string_view {} : query.substr(end + 1);
            if (pair.empty())
                continue;
            const auto equals = pair.find('=');
            std::string name;
            std::string value;
            if (!percentDecode(pair.substr(0, equals), true, name))
                return false;
            if (equals != std::string_view::npos
                && !percentDecode(pair.substr(equals + 1), true, value))
                return false;
            out[name] = value;
        }
        return true;
    }

    using Deliver = std::function<void(HttpResponse, bool)>;
    using OpenStream = std::function<std::shared_ptr<ResponseStream::Sink>(HttpResponse)>;

    /// Gathers an answer in parts for a channel that takes it in one piece only.
    class GatheringSink final : public ResponseStream::Sink
    {
    public:
        GatheringSink(HttpResponse head, Deliver deliver)
            : m_response(std::move(head))
            , m_deliver(std::move(deliver))
        {
        }
        ~GatheringSink() override
        {
            if (m_deliver)
                m_deliver({}, true);
        }
        void write(std::string bytes) override
        {
            const std::scoped_lock lock(m_mutex);
            m_response.body += bytes;
        }
        void end() override { finish(false); }
        void drop() override { finish(true); }

    private:
        void finish(bool isDropped)
        {
            const std::scoped_lock lock(m_mutex);
            if (auto deliver = std::exchange(m_deliver, {}))
                deliver(std::move(m_response), isDropped);
        }
        std::mutex m_mutex;
        HttpResponse m_response;
        Deliver m_deliver;
    };

    class FunctionChannel final : public Responder::Channel
    {
    public:
        FunctionChannel(Deliver deliver, std::shared_ptr<Presence> presence, OpenStream openStream)
            : m_deliver(std::move(deliver))
            , m_presence(std::move(presence))
            , m_openStream(std::move(openStream))
        {
        }
        ~FunctionChannel() override
        {
            if (!m_isDone.exchange(true))
                m_deliver(HttpResponse { 500,
                              R"({"code":13,"message":"the request was given up","details":[]})",
                              "application/json", {}, true, {} },
                    false);
        }
        void send(HttpResponse response) override
        {
            if (!m_isDone.exchange(true))
                m_deliver(std::move(response), false);
        }
        void drop() override
        {
            if (!m_isDone.exchange(true))
                m_deliver({}, true);
        }
        std::shared_ptr<ResponseStream::Sink> stream(HttpResponse head) override
        {
            if (m_isDone.exchange(true))
                return nullptr;
            if (m_openStream)
                return m_openStream(std::move(head));
            return std::make_shared<GatheringSink>(std::move(head), m_deliver);
        }
        std::shared_ptr<Presence> presence() const override { return m_presence; }

    private:
        std::atomic<bool> m_isDone { false };
        Deliver m_deliver;
        std::shared_ptr<Presence> m_presence;
        OpenStream m_openStream;
    };

} // namespace

bool equalsIgnoringCase(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lowerAscii(a[i]) != lowerAscii(b[i]))
            return false;
    return true;
}

std::string_view HttpRequest::header(std::string_view name) const noexcept
{
    for (const auto& entry : headers)
        if (equalsIgnoringCase(entry.name, name))
            return entry.value;
    return {};
}

std::string HttpRequest::path() const
{
    std::string result;
    for (const auto& segment : segments)
        result += '/' + segment;
    return result.empty() ? "/" : result;
}

std::string HttpRequest::queryValue(const std::string& name) const
{
    const auto found = query.find(name);
    return found == query.end() ? std::string {} : found->second;
}

std::string HttpRequest::parameter(const std::string& name) const
{
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string {} : found->second;
}

bool splitTarget(std::string_view target, HttpRequest& request)
{
    if (target.empty() || target.front() != '/')
        return false;
    const auto fragment = target.find('#');
    target = target.substr(0, fragment);
    const auto question = target.find('?');
    auto path = target.substr(0, question);
    if (question != std::string_view::npos
        && !splitQuery(target.substr(question + 1), request.query))
        return false;
    while (!path.empty()) {
        path.remove_prefix(1);
        const auto slash = path.find('/');
        const auto raw = path.substr(0, slash);
        path = slash == std::string_view::npos ? std::string_view {} : path.substr(slash);
        std::string segment;
        if (!percentDecode(raw, false, segment))
            return false;
        if (!segment.empty())
            request.segments.push_back(std::move(segment));
    }
    return true;
}

Responder::Responder(std::shared_ptr<Channel> channel)
    : m_channel(std::move(channel))
{
}

void Responder::send(HttpResponse response) const
{
    if (m_channel)
        m_channel->send(std::move(response));
}

void Responder::drop() const
{
    if (m_channel)
        m_channel->drop();
}

ResponseStream Responder::stream(HttpResponse head) const
{
    return m_channel ? ResponseStream(m_channel->stream(std::move(head))) : ResponseStream();
}

bool Responder::isGone() const
{
    const auto presence = m_channel ? m_channel->presence() : nullptr;
    return presence && presence->isGone();
}

void Responder::onGone(std::function<void()> run) const
{
    if (const auto presence = m_channel ? m_channel->presence() : nullptr)
        presence->onGone(std::move(run));
}

void ResponseStream::write(std::string bytes) const
{
    if (m_sink && !bytes.empty()) // an empty chunk would be the last one
        m_sink->write(std::move(bytes));
}

void ResponseStream::end() const
{
    if (m_sink)
        m_sink->end();
}

void ResponseStream::drop() const
{
    if (m_sink)
        m_sink->drop();
}

bool Presence::isGone() const
{
    const std::scoped_lock lock(m_mutex);
    return m_isGone;
}

void Presence::onGone(std::function<void()> run)
{
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isClosed)
            return;
        if (!m_isGone) {
            m_runs.push_back(std::move(run));
            return;
        }
    }
    run();
}

void Presence::leave()
{
    std::vector<std::function<void()>> runs;
    {
        const std::scoped_lock lock(m_mutex);
        if (m_isClosed || m_isGone)
            return;
        m_isGone = true;
        runs.swap(m_runs);
    }
    for (const auto& run : runs)
        run();
}

void Presence::close()
{
    std::vector<std::function<void()>> runs; // destroyed outside of the lock
    const std::scoped_lock lock(m_mutex);
    m_isClosed = true;
    runs.swap(m_runs);
}

Responder makeResponder(std::function<void(HttpResponse, bool isDropped)> deliver,
    std::shared_ptr<Presence> presence,
    std::function<std::shared_ptr<ResponseStream::Sink>(HttpResponse head)> openStream)
{
    return Responder(std::make_shared<FunctionChannel>(
        std::move(deliver), std::move(presence), std::move(openStream)));
}

} // namespace desk::local

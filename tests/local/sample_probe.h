// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Sampling beside a trainer and streams of completions, in one line of a test.

#include "services/codecs/completions_codec.h"
#include "services/codecs/sample_proto.h"
#include "services/codecs/trainer_codec.h"
#include "tests/local/backend_probe.h"
#include "tests/support/check.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace desk::check {

struct StreamReply
{
    int status = 0;
    std::string head;
    std::string body; ///< chunks joined
};

/// Reads an answer in chunks to the end of the connection.
inline StreamReply readStream(RawConnection& connection)
{
    const auto text = connection.readUntilClosed();
    const auto end = text.find("\r\n\r\n");
    StreamReply reply;
    if (end == std::string::npos)
        return reply;
    reply.head = text.substr(0, end);
    reply.status = std::atoi(reply.head.c_str() + 9);
    auto rest = text.substr(end + 4);
    if (reply.head.find("chunked") == std::string::npos) {
        reply.body = rest;
        return reply;
    }
    while (!rest.empty()) {
        const auto line = rest.find("\r\n");
        CHECK(line != std::string::npos);
        const auto size = std::strtoul(rest.c_str(), nullptr, 16);
        CHECK(rest.size() >= line + 4 + size);
        reply.body += rest.substr(line + 2, size);
        rest.erase(0, line + 4 + size);
        if (size == 0)
            break;
    }
    return reply;
}

inline std::string completionHead(const BackendProbe& probe, const std::string& body,
    const std::string& headers = "Connection: close\r\n")
{
    return "POST " + std::string(kCompletionsPath) + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: "
        + probe.key() + "\r\n" + headers + "Content-Type: application/json\r\nContent-Length: "
        + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline StreamReply streamCompletion(
    const BackendProbe& probe, const std::string& body, const std::string& headers = {})
{
    RawConnection connection(probe.port());
    CHECK(connection.send(completionHead(probe, body, "Connection: close\r\n" + headers)));
    return readStream(connection);
}

/// A plain tinker client without a training job.
class SampleProbe
{
public:
    explicit SampleProbe(const BackendProbe& backend, std::string session = "sess-test")
        : m_backend(backend)
        , m_session(std::move(session))
    {
    }
    RawConnection::Reply post(
        const std::string& name, const std::string& body, const std::string& headers = {}) const
    {
        return m_backend.call("POST", "/api/v1/" + name, body, headers);
    }
    /// Id of a new sampling session.
    std::string open(const std::string& baseModel, const std::string& modelPath = {})
    {
        const auto reply = post("create_sampling_session",
            encodeCreateSamplingSession({ m_session, m_next++, baseModel, modelPath }));
        const auto id = decodeSamplingSessionCreated(reply.body);
        if (!id)
            fail(__FILE__, __LINE__, "no sampling session: " + reply.body);
        return *id;
    }
    static SampleRequest request(
        const std::string& sampler, std::int64_t seqId, std::vector<std::int64_t> prompt)
    {
        SampleRequest wanted;
        wanted.samplingSessionId = sampler;
        wanted.seqId = seqId;
        wanted.prompt = std::move(prompt);
        wanted.maxTokens = 8;
        wanted.seed = 1;
        return wanted;
    }
    SampleTicket submit(const SampleRequest& wanted) const
    {
        const auto reply = post("asample", encodeSample(wanted));
        const auto ticket = decodeSampleTicket(reply.body);
        if (!ticket)
            fail(__FILE__, __LINE__, "no ticket: " + reply.body);
        return *ticket;
    }
    RawConnection::Reply retrieve(
        const std::string& requestId, const std::string& accept = "application/json") const
    {
        while (true) {
            auto reply =
                post("retrieve_future", encodeRetrieve(requestId), "Accept: " + accept + "\r\n");
            if (reply.body.find("try_again") == std::string::npos)
                return reply;
        }
    }
    /// By protobuf, as tinker 0.38 asks.
    SampleResult result(const std::string& requestId) const
    {
        const auto reply = retrieve(requestId, "application/x-protobuf");
        auto read = decodeSampleProto(reply.body);
        if (!read || reply.head.find("application/x-protobuf") == std::string::npos)
            fail(__FILE__, __LINE__, "no sample: " + reply.head + reply.body);
        return *read;
    }
    SampleResult sample(const SampleRequest& wanted) const
    {
        return result(submit(wanted).requestId);
    }

private:
    BackendProbe m_backend;
    std::string m_session;
    std::int64_t m_next = 0;
};

} // namespace desk::check

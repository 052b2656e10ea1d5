// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/errand.h"
#include "services/http/http_client.h"

#include <QFuture>
#include <QObject>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace desk {

/// Sends the operations of one model one after another and polls their results side by side
/// (trainer.md 2.4, 5): a submission leaves when the one before it was accepted, with the next
/// seq_id. THREAD: that of the HttpClient.
class SubmissionQueue final : public QObject
{
    Q_OBJECT
public:
    /// The body for a seq_id; called when the turn comes.
    using Encode = std::function<Result<std::string>(std::int64_t seqId)>;

    SubmissionQueue(HttpClient& http, std::string baseUrl, QObject* parent = nullptr);

    /// Ends with the body of the result. A failure that the trainer reports is Refused for its
    /// category "user", else Backend.
    [[nodiscard]] QFuture<Result<std::string>> submit(
        std::string rpc, std::string doing, Encode encode);

private:
    struct Entry
    {
        std::string rpc;
        std::string doing;
        Encode encode;
        std::shared_ptr<Errand<std::string>> errand;
    };
    void pump();
    void send(Entry entry, std::string body);
    void poll(const Entry& entry, const std::string& requestId);
    void pollNext();

    HttpClient& m_http;
    std::string m_baseUrl;
    std::deque<Entry> m_waiting;
    std::deque<std::pair<Entry, std::string>> m_accepted; // with request ids, not polled yet
    int m_polling = 0;
    std::int64_t m_nextSeqId = 1;
    bool m_isSending = false;
};

/// POST of a trainer's RPC: idempotent by (model, seq_id) or without effect.
[[nodiscard]] HttpRequest trainerRequest(
    const std::string& baseUrl, const std::string& rpc, std::string body, std::string doing);
/// Long-polls the future until it is done and ends `errand` with the result body.
void awaitResult(std::shared_ptr<Errand<std::string>> errand, HttpClient& http,
    const std::string& baseUrl, const std::string& requestId, const std::string& doing);

} // namespace desk

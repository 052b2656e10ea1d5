// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/http/http_client.h"

#include <QElapsedTimer>
#include <QFutureWatcher>
#include <QNetworkReply>
#include <QObject>
#include <QPromise>
#include <QTimer>

#include <memory>

namespace desk {

/// One HttpRequest with all its attempts; deletes itself when it is over.
/// THREAD: that of its HttpClient, whose child it is.
class HttpExchange final : public QObject
{
    Q_OBJECT
public:
    HttpExchange(HttpClient& client, HttpRequest request);
    ~HttpExchange() override;
    Q_DISABLE_COPY_MOVE(HttpExchange)

    [[nodiscard]] QFuture<Result<HttpReply>> future() const { return m_promise.future(); }
    void start();
    void attempt(); ///< called by the client when a place in the lane is free
    void wakeUp(); ///< the machine slept: what may be asked again is asked again
    [[nodiscard]] HttpLane lane() const { return m_lane; }

private:
    enum class Abort
    {
        None,
        ConnectTimeout,
        TotalTimeout,
        TooLarge,
        Slept
    };
    [[nodiscard]] QNetworkRequest networkRequest() const;
    void noteSent();
    void readBody();
    void abort(Abort reason);
    void replyFinished();
    void judgeFailure();
    void judgeStatus(int status);
    void retryOr(Error error, std::chrono::milliseconds wait);
    [[nodiscard]] std::chrono::milliseconds backOff() const;
    [[nodiscard]] Error transportError() const;
    [[nodiscard]] std::string proxyWords() const;
    void dropReply();
    [[nodiscard]] std::string doing() const;
    void finish(Result<HttpReply> result);
    void stop();

    HttpClient& m_client;
    HttpRequest m_request;
    HttpLane m_lane;
    mutable QPromise<Result<HttpReply>> m_promise;
    QFutureWatcher<Result<HttpReply>> m_watcher;
    QNetworkReply* m_reply = nullptr; // of the present attempt; owned here
    QTimer m_connectTimer;
    QTimer m_totalTimer;
    QElapsedTimer m_age; // since the first attempt
    QByteArray m_body;
    QString m_tlsProblem;
    Abort m_abort = Abort::None;
    int m_attempts = 0;
    bool m_isSent = false; // of the present attempt: some byte may have reached the server
    bool m_isOver = false;
};

} // namespace desk

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/http/http_client.h"

#include <QFile>
#include <QFuture>
#include <QFutureWatcher>
#include <QNetworkReply>
#include <QObject>
#include <QPromise>
#include <QString>
#include <QTimer>
#include <QUrl>

#include <functional>

namespace desk {

/// Streams what a URL holds into a new file: signed URLs, so that no key is sent. A connection that
/// is lost, or silent for a minute, is followed by a request for the rest; four times at most.
/// The value is the number of bytes; the file is flushed to the disk. On an error the file is gone.
/// Errors: as HttpClient, and Unreadable or Full for the file.
/// THREAD: that of the HttpClient, which must outlive it. OWNERSHIP: a child of `guard`; deletes
/// itself when it is over.
class HttpDownload final : public QObject
{
    Q_OBJECT
public:
    using Progress = std::function<void(qint64 bytes)>;

    [[nodiscard]] static QFuture<Result<qint64>> start(
        HttpClient& http, const QUrl& url, const QString& path, Progress progress, QObject* guard);
    ~HttpDownload() override;
    Q_DISABLE_COPY_MOVE(HttpDownload)

private:
    HttpDownload(
        HttpClient& http, const QUrl& url, const QString& path, Progress progress, QObject* guard);
    void begin();
    void attempt();
    void take();
    void replyFinished();
    void again(const Error& error);
    void finish(Result<qint64> result);
    void dropReply();
    [[nodiscard]] Error broken(Error::Code code, const std::string& why) const;

    HttpClient& m_http;
    QUrl m_url;
    QFile m_file;
    Progress m_progress;
    QPromise<Result<qint64>> m_promise;
    QFutureWatcher<Result<qint64>> m_watcher;
    QNetworkReply* m_reply = nullptr;
    QTimer m_stall;
    int m_attempts = 0;
    bool m_isOver = false;
};

} // namespace desk

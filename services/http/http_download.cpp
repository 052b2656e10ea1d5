// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/http/http_download.h"

#include "services/codecs/error_codec.h"
#include "services/on_finished.h"

#include <QNetworkAccessManager>
#include <QNetworkRequest>

#include <unistd.h>

using namespace std::chrono_literals;
using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr int kMaxDownloadAttempts = 4;
    constexpr auto kStall = 60s;
    constexpr qint64 kMaxErrorBody = 64 * 1024;

    bool isDownloadRetried(int status)
    {
        return status == 0 || status == 408 || status == 429 || status >= 500;
    }

} // namespace

QFuture<Result<qint64>> HttpDownload::start(
    HttpClient& http, const QUrl& url, const QString& path, Progress progress, QObject* guard)
{
    if (const auto status = http.prepare(url); !status)
        return finishedFuture<qint64>(status.error());
    auto* download = new HttpDownload(http, url, path, std::move(progress), guard);
    auto future = download->m_promise.future();
    download->begin();
    return future;
}

HttpDownload::HttpDownload(
    HttpClient& http, const QUrl& url, const QString& path, Progress progress, QObject* guard)
    : QObject(guard)
    , m_http(http)
    , m_url(url)
    , m_file(path)
    , m_progress(std::move(progress))
{
    m_promise.start();
    connect(&m_watcher, &QFutureWatcherBase::canceled, this, [this] {
        finish(Error { Error::Code::Canceled, "The download was canceled" });
    });
    m_watcher.setFuture(m_promise.future());
    m_stall.setSingleShot(true);
    connect(&m_stall, &QTimer::timeout, this, [this] {
        if (m_reply != nullptr)
            m_reply->abort();
    });
}

HttpDownload::~HttpDownload()
{
    dropReply();
    if (!m_isOver) {
        m_file.remove();
        m_promise.finish();
    }
}

Error HttpDownload::broken(Error::Code code, const std::string& why) const
{
    return { code,
        "Could not download " + m_url.fileName().toStdString() + " from "
            + m_url.host().toStdString() + ": " + why,
        "Nothing was kept of it", "Try again", {} };
}

void HttpDownload::begin()
{
    if (!m_file.open(QIODevice::WriteOnly | QIODevice::NewOnly))
        return finish(broken(Error::Code::Unreadable,
            m_file.fileName().toStdString() + " cannot be written ("
                + m_file.errorString().toStdString() + ")"));
    attempt();
}

void HttpDownload::attempt()
{
    ++m_attempts;
    QNetworkRequest request(m_url);
    request.setAttribute(
        QNetworkRequest::RedirectPolicyAttribute, QNetworkRequest::ManualRedirectPolicy);
    request.setAttribute(QNetworkRequest::Http2AllowedAttribute, false);
    request.setRawHeader("User-Agent", "TrainerDesk");
    // Compressed bytes could not be continued.
    request.setRawHeader("Accept-Encoding", "identity");
    if (m_file.pos() > 0)
        request.setRawHeader("Range", "bytes=" + QByteArray::number(m_file.pos()) + '-');
    if (const auto& tls = m_http.tls(); tls)
        request.setSslConfiguration(*tls);
    m_http.countRequest();
    m_reply = m_http.manager(HttpLane::Read).get(request);
    connect(m_reply, &QNetworkReply::readyRead, this, &HttpDownload::take);
    connect(m_reply, &QNetworkReply::finished, this, &HttpDownload::replyFinished);
    m_stall.start(kStall);
}

void HttpDownload::take()
{
    const int status = m_reply->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt();
    if (status != 200 && status != 206)
        return;
    m_stall.start(kStall);
    // A server that begins anew sends everything.
    if (status == 200 && m_file.pos() > 0 && !m_reply->property("isTaken").toBool())
        (void)(m_file.resize(0) && m_file.seek(0));
    m_reply->setProperty("isTaken", true);
    const auto bytes = m_reply->readAll();
    if (m_file.write(bytes) != bytes.size())
        return finish(broken(Error::Code::Full,
            m_file.fileName().toStdString() + " cannot be written ("
                + m_file.errorString().toStdString() + ")"));
    if (m_progress)
        m_progress(m_file.pos());
}

void HttpDownload::replyFinished()
{
    m_stall.stop();
    if (m_isOver || m_reply == nullptr)
        return;
    if (m_reply->bytesAvailable() > 0)
        take();
    if (m_isOver)
        return;
    const int status = m_reply->attribute(QNetworkRequest::HttpStatusCodeAttribute).toInt();
    const bool isFine =
        (status == 200 || status == 206) && m_reply->error() == QNetworkReply::NoError;
    if (isFine) {
        if (!m_file.flush() || ::fsync(m_file.handle()) != 0)
            return finish(broken(Error::Code::Full, "the disk did not take it"));
        return finish(m_file.size());
    }
    if (status == 200 || status == 206 || status == 0)
        return again(broken(Error::Code::Unreachable, m_reply->errorString().toStdString()));
    const auto body = m_reply->read(kMaxErrorBody);
    auto error = errorFromReply(status,
        std::string_view(body.constData(), static_cast<std::size_t>(body.size())),
        "download " + m_url.fileName().toStdString(), {});
    if (isDownloadRetried(status))
        return again(error);
    finish(std::move(error));
}

void HttpDownload::again(const Error& error)
{
    if (m_attempts >= kMaxDownloadAttempts)
        return finish(error);
    dropReply();
    const auto wait = m_http.retryPolicy().firstDelay * (1 << (m_attempts - 1));
    QTimer::singleShot(wait, this, [this] {
        if (!m_isOver)
            attempt();
    });
}

void HttpDownload::dropReply()
{
    if (m_reply == nullptr)
        return;
    m_reply->disconnect(this);
    m_reply->abort();
    m_reply->deleteLater();
    m_reply = nullptr;
}

void HttpDownload::finish(Result<qint64> result)
{
    if (std::exchange(m_isOver, true))
        return;
    m_stall.stop();
    dropReply();
    m_file.close();
    if (!result)
        m_file.remove();
    if (!m_promise.isCanceled())
        m_promise.addResult(std::move(result));
    m_promise.finish();
    deleteLater();
}

} // namespace desk

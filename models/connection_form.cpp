// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/connection_form.h"

#include "models/app_model.h"
#include "models/connections_model.h"
#include "models/format.h"
#include "services/gateway/fireworks_client.h"
#include "services/http/http_client.h"
#include "services/on_finished.h"
#include "services/secrets/key_store.h"
#include "services/store/settings.h"

#include <QElapsedTimer>

using namespace Qt::StringLiterals;

namespace desk {

struct ConnectionForm::Trial
{
    Trial(const Connection& connection, const QByteArray& key)
        : http(connection, [key] { return key; })
        , client(http)
    {
        timer.start();
    }
    HttpClient http;
    FireworksClient client;
    QElapsedTimer timer;
};

ConnectionForm::ConnectionForm(AppModel& app, QObject* parent)
    : QObject(parent)
    , m_app(app)
{
}

ConnectionForm::~ConnectionForm() = default;

void ConnectionForm::clear()
{
    ++m_epoch;
    m_connection = {};
    m_connection.safetyLevel = SafetyLevel::Confirm;
    m_key.clear();
    m_keepsKey = true;
    m_isExisting = false;
    m_error.reset();
    m_testResult.clear();
    m_trial.reset();
    setState(State::Editing);
}

void ConnectionForm::edit(const Connection& connection)
{
    clear();
    m_connection = connection;
    m_isExisting = true;
    Q_EMIT changed();
}

void ConnectionForm::setConnection(const Connection& connection)
{
    if (m_connection == connection)
        return;
    m_connection = connection;
    while (m_connection.url.ends_with('/'))
        m_connection.url.pop_back();
    ++m_epoch; // a test of other fields says nothing about these
    m_error.reset();
    m_testResult.clear();
    setState(State::Editing);
}

void ConnectionForm::setKey(const QByteArray& key)
{
    if (m_key == key)
        return;
    m_key = key;
    ++m_epoch;
    m_error.reset();
    m_testResult.clear();
    setState(State::Editing);
}

QString ConnectionForm::problem() const
{
    const QString problem = ConnectionsModel::problemWith(m_connection);
    if (!problem.isEmpty())
        return problem;
    if (!m_isExisting && m_app.connections().find(format::fromUtf8(m_connection.name)))
        return tr("A connection of this name exists already.");
    if (m_key.isEmpty() && !m_isExisting)
        return tr("Enter the API key.");
    if (m_key.contains('\n') || m_key.contains(' '))
        return tr("A key has no blanks and no line ends; it was perhaps copied with something "
                  "else.");
    return {};
}

void ConnectionForm::setState(State state)
{
    m_state = state;
    Q_EMIT changed();
}

void ConnectionForm::fail(const Error& error)
{
    m_error = errorText(error);
    setState(State::Failed);
}

void ConnectionForm::test()
{
    if (!problem().isEmpty() || m_state == State::Testing)
        return;
    const quint64 epoch = ++m_epoch;
    const QByteArray key =
        m_key.isEmpty() ? m_app.services().keys.known(format::fromUtf8(m_connection.name)) : m_key;
    m_trial = std::make_unique<Trial>(m_connection, key);
    m_error.reset();
    setState(State::Testing);
    onFinished(m_trial->client.account(), this, [this, epoch](const Result<std::string>& account) {
        if (epoch != m_epoch)
            return;
        if (!account) {
            fail(account.error());
            return;
        }
        const QString name = format::fromUtf8(*account);
        const qint64 first = m_trial->timer.elapsed();
        onFinished(m_trial->client.listJobs(), this,
            [this, epoch, name, first](const Result<std::vector<TrainerJob>>& jobs) {
                if (epoch != m_epoch)
                    return;
                if (!jobs) {
                    fail(jobs.error());
                    return;
                }
                const qint64 took = m_trial->timer.elapsed() - first;
                m_testResult = tr("Answered in %1 ms \u00b7 account %2 \u00b7 %3 jobs")
                                   .arg(took)
                                   .arg(name)
                                   .arg(jobs->size());
                if (m_connection.account.empty())
                    m_connection.account = format::toUtf8(name);
                setState(State::Tested);
            });
    });
}

void ConnectionForm::save()
{
    if (!problem().isEmpty() || m_state == State::Saving)
        return;
    ++m_epoch;
    setState(State::Saving);
    if (!m_key.isEmpty()) {
        store(m_key);
        return;
    }
    // An existing connection keeps its key.
    m_app.services().settings.putConnection(m_connection);
    m_app.connections().put(m_connection);
    m_app.link().choose(m_connection);
    Q_EMIT saved(tr("Connection %1 saved.").arg(format::fromUtf8(m_connection.name)));
    clear();
}

void ConnectionForm::store(const QByteArray& key)
{
    const quint64 epoch = m_epoch;
    const QString name = format::fromUtf8(m_connection.name);
    onFinished(m_app.services().keys.store(name, key, m_keepsKey), this,
        [this, epoch, name](const Result<KeyPlace>& stored) {
            if (epoch != m_epoch)
                return;
            if (!stored) {
                fail(stored.error());
                return;
            }
            m_app.services().settings.putConnection(m_connection);
            m_app.connections().put(m_connection);
            const QString where = *stored == KeyPlace::Keyring
                ? tr("Connection %1 saved; its key is in the desktop keyring.")
                : (m_keepsKey
                        ? tr("Connection %1 saved; no keyring answers, so its key is kept for this "
                             "run only.")
                        : tr("Connection %1 saved; its key is kept for this run only."));
            m_app.link().choose(m_connection);
            Q_EMIT saved(where.arg(name));
            clear();
        });
}

void ConnectionForm::remove()
{
    const QString name = format::fromUtf8(m_connection.name);
    const auto& current = m_app.link().connection();
    if (current && current->name == m_connection.name)
        m_app.link().disconnectAll();
    m_app.services().settings.removeConnection(m_connection.name);
    m_app.connections().remove(name);
    onFinished(m_app.services().keys.remove(name), this, [](const Status&) {});
    Q_EMIT saved(tr("Connection %1 and its key removed.").arg(name));
    clear();
}

} // namespace desk

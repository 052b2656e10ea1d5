// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/error_text.h"
#include "services/core/connection.h"

#include <QByteArray>
#include <QObject>
#include <QString>

#include <memory>
#include <optional>

namespace desk {

class AppModel;

/// State of the connection sheet: fields, what is wrong with them, a test with its time, saving.
/// The key is held only until it was stored or the form is cleared. THREAD: GUI.
class ConnectionForm final : public QObject
{
    Q_OBJECT
public:
    enum class State
    {
        Editing,
        Testing,
        Tested, ///< the service answered
        Failed, ///< error()
        Saving
    };
    Q_ENUM(State)

    explicit ConnectionForm(AppModel& app, QObject* parent = nullptr);
    ~ConnectionForm() override;
    Q_DISABLE_COPY_MOVE(ConnectionForm)

    void clear();
    void edit(const Connection& connection); ///< fields of an existing one; its key stays
    [[nodiscard]] const Connection& connection() const noexcept { return m_connection; }
    void setConnection(const Connection& connection);
    void setKey(const QByteArray& key);
    void setKeepsKey(bool keepsKey)
    {
        m_keepsKey = keepsKey;
    } ///< in the keyring, not this run only
    [[nodiscard]] bool keepsKey() const noexcept { return m_keepsKey; }
    [[nodiscard]] bool isExisting() const noexcept { return m_isExisting; }

    [[nodiscard]] State state() const noexcept { return m_state; }
    [[nodiscard]] QString problem() const; ///< of the fields; empty: they can be used
    [[nodiscard]] const std::optional<ErrorText>& error() const noexcept { return m_error; }
    /// "answered in 84 ms · account demo · 3 jobs"
    [[nodiscard]] const QString& testResult() const noexcept { return m_testResult; }

    void test();
    void save(); ///< stores key and connection, then connects; saved() or Failed
    void remove(); ///< the connection and its key

Q_SIGNALS:
    void changed();
    /// The sentence says where the key went.
    void saved(const QString& sentence);

private:
    struct Trial; // clients of a test
    void setState(State state);
    void fail(const Error& error);
    void store(const QByteArray& key);

    AppModel& m_app;
    Connection m_connection;
    QByteArray m_key;
    bool m_keepsKey = true;
    bool m_isExisting = false;
    State m_state = State::Editing;
    std::optional<ErrorText> m_error;
    QString m_testResult;
    std::unique_ptr<Trial> m_trial;
    quint64 m_epoch = 0;
};

} // namespace desk

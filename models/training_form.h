// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QString>
#include <QStringList>

#include <cstdint>
#include <optional>

namespace desk {

class AppModel;
struct Recipe;

/// What the New training sheet asks for; becomes a recipe file in the run folder.
struct TrainingFields
{
    QString name;
    QString dataFile; ///< plain text or JSON Lines, absolute
    QString evalFile; ///< held-out text for eval/loss; empty: no eval
    QString baseModel; ///< full name
    int steps = 200;
    double learningRate = 5e-4;
    int batchSize = 8;
    int evalEvery = 20; ///< steps; counts with an evalFile only
    int stateSaveEvery = 0;
    int samplerSaveEvery = 50;
    bool operator==(const TrainingFields&) const = default;
};

/// State of the New training sheet. THREAD: GUI; looks at the file's name, type and size only.
class TrainingForm final : public QObject
{
    Q_OBJECT
public:
    explicit TrainingForm(AppModel& app, QObject* parent = nullptr);

    [[nodiscard]] const TrainingFields& fields() const noexcept { return m_fields; }
    void setFields(const TrainingFields& fields);
    void reset();
    [[nodiscard]] QStringList baseModels() const; ///< full names that can be trained
    [[nodiscard]] QString problem() const; ///< empty: it can be started
    [[nodiscard]] Recipe recipe() const;
    void start(); ///< REQUIRES: problem().isEmpty()

Q_SIGNALS:
    void changed();
    void started();

private:
    [[nodiscard]] static QString problemOfFile(const QString& path);

    AppModel& m_app;
    TrainingFields m_fields;
};

} // namespace desk

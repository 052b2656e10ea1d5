// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "services/core/clock.h"

#include <QList>
#include <QObject>
#include <QString>
#include <QStringList>

#include <optional>

namespace desk {

class AppModel;

struct InspectorFact
{
    QString label;
    QString value;
    bool isCode = false; ///< an id: fixed font, never elided
    Tone tone = Tone::Normal;
    QString link; ///< row id that a click selects; empty: plain text
    bool operator==(const InspectorFact&) const = default;
};

struct InspectorTile
{
    QString label; ///< "train/loss"
    QString value; ///< "1.8113"
    QString hint;
    bool operator==(const InspectorTile&) const = default;
};

/// Where facts came from and how old they are.
struct InspectorSource
{
    QString what; ///< "Metrics"
    QString source; ///< "metrics.jsonl · local"
    std::optional<Time> at;
    bool operator==(const InspectorSource&) const = default;
};

/// What the inspector shows about the selected subject. Everything is a value, so that it can be
/// tested without a widget; changed() comes at most once for each change of the selection or data.
/// THREAD: GUI.
class InspectorModel final : public QObject
{
    Q_OBJECT
public:
    struct Content
    {
        QString title; ///< empty: nothing is selected
        QString subtitle;
        StatusKind status = StatusKind::None; ///< glyph before the title
        QList<InspectorTile> tiles;
        std::optional<double> progress; ///< 0 to 1
        QString progressText; ///< "13,212 of 18,000 · 73 %"
        QString timeLeft; ///< "2 h 32 min left, ≈ 16:34"
        QList<InspectorFact> facts;
        QList<InspectorFact> serving;
        QList<InspectorSource> sources;
        QString noteTitle; ///< "Not promotable"
        QString note; ///< one sentence and what would work
        QString noteLink; ///< row id
        QStringList actions; ///< ids in ActionRegistry, as buttons
        QString actionSubject; ///< "Actions on step-400-…"
        QString config; ///< text of the Config tab
        QString json; ///< text of the JSON tab, redacted
        bool operator==(const Content&) const = default;
    };

    explicit InspectorModel(const AppModel& app, QObject* parent = nullptr);

    [[nodiscard]] const Content& content() const noexcept { return m_content; }
    void rebuild();

Q_SIGNALS:
    void changed();

private:
    void fillJob();
    void fillCheckpoint();
    void fillDeployment();
    void fillModel();

    const AppModel& m_app;
    Content m_content;
};

} // namespace desk

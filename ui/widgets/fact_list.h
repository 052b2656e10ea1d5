// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QList>
#include <QWidget>

#include <vector>

class QGridLayout;

namespace desk {

class SpanLabel;

struct Fact
{
    QString label;
    QString value {};
    QString note {}; ///< quieter, after the value: " · 2 promotable"
    QString age {}; ///< right-aligned: "2 s"
    Tone tone = Tone::Normal;
    StatusKind status = StatusKind::None; ///< glyph before the value
    bool isMono = false; ///< an id: never elided by intent, fixed font
    QString link {}; ///< not empty: the value is a link with this target
    bool operator==(const Fact&) const = default;
};

/// Label-value rows of 22 px. Only rows that changed are touched, so ages may tick every second.
class FactList final : public QWidget
{
    Q_OBJECT

public:
    explicit FactList(QWidget* parent = nullptr);
    ~FactList() override;
    Q_DISABLE_COPY_MOVE(FactList)
    void setTitle(const QString& title);
    void setFacts(const QList<Fact>& facts);
    [[nodiscard]] const QList<Fact>& facts() const noexcept { return m_facts; }

Q_SIGNALS:
    void linkActivated(const QString& target);

private:
    struct Row;
    void fill(int row, const Fact& fact);

    QGridLayout* m_grid;
    SpanLabel* m_title;
    QList<Fact> m_facts;
    std::vector<Row> m_rows;
};

} // namespace desk

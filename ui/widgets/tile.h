// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

namespace desk {

class SpanLabel;

/// One big number: name above, note below.
class Tile final : public QWidget
{
    Q_OBJECT

public:
    explicit Tile(const QString& name = {}, QWidget* parent = nullptr);
    void setName(const QString& name);
    void setValue(const QString& value);
    void setNote(const QString& markup); ///< span markup

private:
    void describe();

    SpanLabel* m_name;
    SpanLabel* m_value;
    SpanLabel* m_note;
};

/// "Preflight  8 checks · 6 pass" with room for controls at the right.
class SectionHeader final : public QWidget
{
    Q_OBJECT

public:
    explicit SectionHeader(
        const QString& title, const QString& note = {}, QWidget* parent = nullptr);
    void setTitle(const QString& title);
    void setNote(const QString& note);
    void addWidget(QWidget* widget); ///< at the right

private:
    SpanLabel* m_title;
    SpanLabel* m_note;
};

} // namespace desk

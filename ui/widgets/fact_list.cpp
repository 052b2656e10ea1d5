// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/fact_list.h"

#include "ui/widgets/span_label.h"

#include <QGridLayout>
#include <QKeyEvent>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kFirstRow = 2;

    QString toneTag(Tone tone)
    {
        switch (tone) {
        case Tone::Secondary:
            return u"<s>"_s;
        case Tone::Disabled:
            return u"<d>"_s;
        case Tone::Link:
            return u"<a>"_s;
        case Tone::Running:
            return u"<r>"_s;
        case Tone::Busy:
            return u"<p>"_s;
        case Tone::Good:
            return u"<g>"_s;
        case Tone::Attention:
        case Tone::Worse:
            return u"<w>"_s;
        case Tone::Failed:
            return u"<f>"_s;
        case Tone::Better:
            return u"<u>"_s;
        case Tone::Normal:
        case Tone::Waiting:
            break;
        }
        return {};
    }

    QString glyphTag(StatusKind kind)
    {
        switch (kind) {
        case StatusKind::None:
            return {};
        case StatusKind::Running:
            return u"<!run><.6>"_s;
        case StatusKind::Waiting:
            return u"<!wait><.6>"_s;
        case StatusKind::Busy:
            return u"<!busy><.6>"_s;
        case StatusKind::Good:
            return u"<!good><.6>"_s;
        case StatusKind::Attention:
            return u"<!warn><.6>"_s;
        case StatusKind::Unknown:
            return u"<!unknown><.6>"_s;
        case StatusKind::Failed:
            return u"<!fail><.6>"_s;
        case StatusKind::Off:
            return u"<!square><.6>"_s;
        case StatusKind::Paused:
            return u"<!paused><.6>"_s;
        case StatusKind::No:
            return u"<!cross><.6>"_s;
        }
        return {};
    }

    QString factMarkup(const Fact& fact)
    {
        QString markup =
            glyphTag(fact.status) + toneTag(fact.link.isEmpty() ? fact.tone : Tone::Link);
        markup += fact.isMono ? u"<m>"_s : u"<#>"_s;
        markup += spanEscaped(fact.value) + u"</>"_s;
        if (!fact.note.isEmpty())
            markup += u"<#><s>"_s + spanEscaped(fact.note);
        return markup;
    }

} // namespace

// A fact's value: a label, and where it leads somewhere a link that keyboard and mouse can take.
class FactValue final : public SpanLabel
{
public:
    explicit FactValue(FactList* list)
        : SpanLabel({}, Face::Body, Tone::Normal, list)
        , m_list(list)
    {
    }
    void setTarget(const QString& target)
    {
        m_target = target;
        setFocusPolicy(target.isEmpty() ? Qt::NoFocus : Qt::TabFocus);
        if (target.isEmpty())
            unsetCursor();
        else
            setCursor(Qt::PointingHandCursor);
    }

protected:
    void mouseReleaseEvent(QMouseEvent*) override { activate(); }
    void keyPressEvent(QKeyEvent* event) override
    {
        if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter
            || event->key() == Qt::Key_Space)
            activate();
        else
            SpanLabel::keyPressEvent(event);
    }

private:
    void activate()
    {
        if (!m_target.isEmpty())
            Q_EMIT m_list->linkActivated(m_target);
    }
    FactList* m_list;
    QString m_target;
};

struct FactList::Row
{
    SpanLabel* label;
    FactValue* value;
    SpanLabel* age;
};

FactList::FactList(QWidget* parent)
    : QWidget(parent)
    , m_grid(new QGridLayout(this))
    , m_title(new SpanLabel({}, Face::SecondBold, Tone::Secondary, this))
{
    m_grid->setContentsMargins(px(12), px(10), px(12), px(10));
    m_grid->setHorizontalSpacing(0);
    m_grid->setVerticalSpacing(0);
    m_grid->setColumnMinimumWidth(0, px(88));
    m_grid->setColumnStretch(1, 1);
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
    m_title->setFixedHeight(px(22));
    m_title->hide();
    m_grid->addWidget(m_title, 0, 0, 1, 3, Qt::AlignTop);
}

FactList::~FactList() = default;

void FactList::setTitle(const QString& title)
{
    m_title->setPlain(title);
    m_title->setVisible(!title.isEmpty());
    setAccessibleName(title);
}

void FactList::setFacts(const QList<Fact>& facts)
{
    if (facts == m_facts)
        return;
    for (qsizetype i = std::ssize(m_rows); i < facts.size(); ++i) {
        const int row = kFirstRow + static_cast<int>(i);
        Row made { new SpanLabel({}, Face::Second, Tone::Secondary, this), new FactValue(this),
            new SpanLabel({}, Face::Second, Tone::Secondary, this) };
        made.age->setAlignment(Qt::AlignRight);
        m_grid->addWidget(made.label, row, 0);
        m_grid->addWidget(made.value, row, 1);
        m_grid->addWidget(made.age, row, 2);
        for (QWidget* part : { static_cast<QWidget*>(made.label), static_cast<QWidget*>(made.value),
                 static_cast<QWidget*>(made.age) })
            part->setFixedHeight(px(22));
        m_rows.push_back(made);
    }
    for (qsizetype i = 0; i < std::ssize(m_rows); ++i) {
        const bool isUsed = i < facts.size();
        const Row& row = m_rows[static_cast<std::size_t>(i)];
        row.label->setVisible(isUsed);
        row.value->setVisible(isUsed);
        row.age->setVisible(isUsed);
        if (isUsed && (i >= m_facts.size() || m_facts[i] != facts[i]))
            fill(static_cast<int>(i), facts[i]);
    }
    m_facts = facts;
}

void FactList::fill(int row, const Fact& fact)
{
    const Row& parts = m_rows[static_cast<std::size_t>(row)];
    parts.label->setPlain(fact.label);
    parts.value->setMarkup(factMarkup(fact));
    parts.value->setTarget(fact.link);
    parts.value->setAccessibleName(fact.label + u": "_s + fact.value + fact.note);
    parts.age->setMarkup(u"<#>"_s + spanEscaped(fact.age));
}

} // namespace desk

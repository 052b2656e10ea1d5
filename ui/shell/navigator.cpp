// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shell/navigator.h"

#include "ui/style/fonts.h"
#include "ui/style/icons.h"
#include "ui/style/tokens.h"

#include <QAbstractItemDelegate>
#include <QPainter>
#include <QStandardItemModel>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr int kWidth = 176;
    constexpr int kFoldedWidth = 44;
    constexpr int kRowHeight = 27;

    enum NavigatorRole
    {
        IconRole = Qt::UserRole + 1,
        CountRole
    };

    class NavigatorDelegate final : public QAbstractItemDelegate
    {
    public:
        explicit NavigatorDelegate(Navigator* view)
            : QAbstractItemDelegate(view)
            , m_view(view)
        {
        }
        QSize sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const override
        {
            return { px(kFoldedWidth), px(kRowHeight) };
        }
        void paint(QPainter* painter, const QStyleOptionViewItem& option,
            const QModelIndex& index) const override
        {
            const Tokens& t = tokens();
            const bool isChosen = option.state & QStyle::State_Selected;
            if (isChosen) {
                painter->fillRect(option.rect, m_view->hasFocus() ? t.selection : t.surface2);
                painter->fillRect(
                    QRect(option.rect.left(), option.rect.top(), px(2), option.rect.height()),
                    t.accent);
            }
            const QRect r = option.rect;
            const QRect iconRect(r.left() + px(13), r.center().y() - px(8) + 1, px(16), px(16));
            drawIcon(
                *painter, index.data(IconRole).toString(), iconRect, isChosen ? t.text : t.text2);
            if (m_view->isFolded())
                return;
            drawLine(*painter, QRectF(r).adjusted(px(36), 0, -px(52), 0),
                isChosen ? Face::Medium : Face::Body, index.data().toString(), t.text);
            const QString count = index.data(CountRole).toString();
            const QRectF countRect(r.right() - px(60), r.top(), px(48), r.height());
            drawLine(*painter, countRect, Face::Second, count,
                isChosen && m_view->hasFocus() ? t.selectionText2 : t.text2, Qt::AlignRight);
        }

    private:
        Navigator* m_view;
    };

} // namespace

Navigator::Navigator(QWidget* parent)
    : QListView(parent)
    , m_model(new QStandardItemModel(this))
{
    setObjectName(u"navigator"_s);
    setAccessibleName(tr("Navigator"));
    setFrameShape(QFrame::NoFrame);
    viewport()->setBackgroundRole(QPalette::Window);
    setItemDelegate(new NavigatorDelegate(this));
    setUniformItemSizes(true);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setViewportMargins(0, px(8), 0, 0);
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    const std::initializer_list<std::pair<QString, QString>> rows {
        { tr("Jobs"), u"list"_s },
        { tr("Checkpoints"), u"diamond"_s },
        { tr("Deployments"), u"server"_s },
        { tr("Models"), u"cube"_s },
        { tr("Operations"), u"pulse"_s },
    };
    for (const auto& [text, iconName] : rows) {
        auto* item = new QStandardItem(text);
        item->setData(iconName, IconRole);
        item->setData(u"\u2013"_s, CountRole);
        m_model->appendRow(item);
    }
    setModel(m_model);
    setPage(DeskPage::Jobs);
    connect(selectionModel(), &QItemSelectionModel::currentChanged, this,
        [this](const QModelIndex& current) {
            if (current.isValid())
                Q_EMIT pageChosen(DeskPage(current.row()));
        });
}

void Navigator::setPage(DeskPage page)
{
    const QSignalBlocker blocker(selectionModel());
    if (page == DeskPage::Verify) {
        selectionModel()->clear(); // the current one too, so that a click on it counts
    } else {
        const QModelIndex index = m_model->index(int(page), 0);
        selectionModel()->setCurrentIndex(index, QItemSelectionModel::ClearAndSelect);
    }
    viewport()->update();
}

void Navigator::setCount(DeskPage page, int count)
{
    QStandardItem* item = m_model->item(int(page));
    const QString text = count < 0 ? u"\u2013"_s : QLocale(QLocale::English).toString(count);
    if (item == nullptr || item->data(CountRole).toString() == text)
        return;
    item->setData(text, CountRole);
    item->setAccessibleText(item->text() + u", "_s + text);
}

void Navigator::setFolded(bool isFolded)
{
    if (m_isFolded == isFolded)
        return;
    m_isFolded = isFolded;
    setMinimumWidth(minimumSizeHint().width());
    updateGeometry();
    viewport()->update();
}

QSize Navigator::sizeHint() const
{
    return { px(m_isFolded ? kFoldedWidth : kWidth), px(200) };
}

QSize Navigator::minimumSizeHint() const
{
    return { px(m_isFolded ? kFoldedWidth : 120), px(80) };
}

} // namespace desk

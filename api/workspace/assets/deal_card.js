// A deal on the board: one element a card, so that a board of a thousand stays light. Text goes in as text.
// What is done to it (open, drag, move by menu) is noticed once for the whole page, in workspace.js.
export default {
  template: `
    <article class="deal" :data-deal="deal.id" :data-stage="deal.stage" :data-revision="deal.revision"
      :draggable="deal.movable ? 'true' : null" :data-movable="deal.movable || null">
      <div class="deal-top">
        <h3 class="deal-title" :title="deal.title"><a :href="deal.href" :data-open-deal="deal.id" draggable="false">{{ deal.title }}</a></h3>
        <button v-if="deal.movable" type="button" class="deal-menu" data-move-menu aria-haspopup="menu"
          :aria-label="'Move ' + deal.title"><span aria-hidden="true">⋯</span></button>
      </div>
      <div class="deal-line"><span class="deal-sub">{{ deal.company }}</span></div>
      <div class="deal-line">
        <span class="deal-value" :class="{ num: deal.exact }" :title="deal.exact">{{ deal.value }}</span>
        <span class="age" :data-level="deal.level" :title="deal.since">{{ deal.age }}</span>
      </div>
      <div class="deal-line">
        <span class="deal-sub">{{ deal.kind }}</span>
        <span v-if="deal.agent" class="avatar deal-agent" role="img" :aria-label="deal.agent" :title="deal.agent">{{ deal.initials }}</span>
      </div>
      <div class="deal-line deal-latest"><span class="deal-sub" :title="deal.latest">{{ deal.latest }}</span></div>
    </article>`,
  props: { deal: Object },
};

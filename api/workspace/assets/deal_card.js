// A deal on the board: one element a card, so that a board of a thousand stays light. Text goes in as text.
export default {
  template: `
    <article class="deal" :data-deal="deal.id">
      <h3 class="deal-title" :title="deal.title">{{ deal.title }}</h3>
      <div class="deal-line" v-if="deal.company"><span class="deal-sub">{{ deal.company }}</span></div>
      <div class="deal-line">
        <span class="deal-value" :class="{ num: deal.exact }" :title="deal.exact">{{ deal.value }}</span>
        <span class="age" :data-level="deal.level" :title="deal.since">{{ deal.age }}</span>
      </div>
      <div class="deal-line"><span class="deal-sub">{{ deal.kind }}</span></div>
      <div class="deal-line" v-if="deal.agent"><span class="deal-sub">{{ deal.agent }}</span></div>
    </article>`,
  props: { deal: Object },
};

"""Remarks of an evaluation, as they are made, and in Chinese; ``{}`` is taken over, and read by the same table."""

from __future__ import annotations

NOTES: dict[str, str] = {
    # data and split
    "The interactions are simulated: the figures show that it works, not how people choose.": "交互由程序模拟：数字只说"
    "明系统能运行，不代表真实的人如何选择。",
    "Every target is new, on validation too: a fusion learns here to lift new items.": "每个目标都是新物品，验证时也是："
    "融合在这里学会提升新物品。",
    "The users of the test are in no training data; their first {} events are given.": "测试用户不在任何训练数据中；给出"
    "他们最初的 {} 次交互。",
    "The users of the test are in no training data and nothing that they did is given.": "测试用户不在任何训练数据中，也不"
    "给出他们的任何行为。",
    "Targets never seen in training: {}, reported as a segment of their own.": "训练中从未出现的目标：{} 个，单独列为一类。",
    "Test targets left out because the history already holds them: {}.": "因历史中已有而略去的测试目标：{} 个。",
    "Test queries without any history: {}.": "没有任何历史的测试查询：{} 个。",
    "No language model read the text: words alone stand for content.": "没有语言模型阅读文本：内容仅由词语表示。",
    "{} was left out: it takes at most {} items, the data have {}.": "略去 {}：它最多处理 {} 个物品，数据中有 {} 个。",
    # candidates
    "Accuracy is of {} sampled candidates a query (drawn {}), not of the whole catalogue: these figures are not comparable "
    "with full ones, and may even put models in another order (Krichene and Rendle 2020). Leave --candidates out to rank "
    "everything.": "准确性只在每个查询 {} 个抽样候选（{}抽取）中计算，而不是整个目录：这些数字不能与完整排序的数字比较，"
    "甚至可能改变模型的先后（Krichene 与 Rendle 2020）。去掉 --candidates 即对全部物品排序。",
    "at random": "随机",
    "by their popularity": "按热门程度",
    # folds and windows
    "Figures are over the queries of all {} folds, intervals over people with all that they were asked; what other training "
    "data would change is not in them.": "数字针对全部 {} 折的查询，置信区间按人连同其全部查询计算；其他训练数据会带来的变化"
    "不在其中。",
    "{} of {} runs from {} to {} over folds.": "{} 在各折之间（{}）从 {} 到 {}。",
    "Figures are over the questions of all windows, intervals over people with all that they were asked.": "数字针对全部时间"
    "窗的查询，置信区间按人连同其全部查询计算。",
    "Between windows: {}.": "时间窗之间：{}。",
    "refit fits anew before every window": "refit 在每个时间窗之前重新训练",
    "update fits once and then adds what each window brings, the weights of the fusion left": "update 只训练一次，然后加入每个时间"
    "窗带来的内容，融合权重保持不变",
    "nothing keeps the model of the first window, while histories in the questions grow all the same": "nothing 保留第一个时间窗的模型；"
    "查询中的历史照样增长",
    # shift
    "Both models know everything until the first window; “{}” stays so, “{}” is fitted on all that came before each "
    "window. Both are given the same histories, which grow.": "两个模型都知道第一个时间窗之前的一切；“{}”保持不变，“{}”在每个时间窗之前"
    "用此前的全部数据重新训练。两者得到相同的、不断增长的历史。",
    "left as it was": "保持原样",
    "fitted anew": "重新训练",
    "Those who are asked never touched the category: all before their first item of it is given, their items of it are to "
    "be found among the whole catalogue. “{}” has learnt from the others who did; “{}” from no interaction with any item "
    "of it.": "受测用户从未接触过该类别：给出他们第一次接触之前的全部历史，他们在该类别中的物品要在整个目录中找出。“{}”从接触过该类别的"
    "其他用户学习过；“{}”没有见过与该类别任何物品的交互。",
    "category unknown": "类别未知",
    "category known": "类别已知",
    # leaks
    "the encoder {} was tuned on {} of these data, so it has seen rows that are held out here: its figures are too good; "
    "tune it with the same --split and --seed": "编码器 {} 的微调使用了这些数据的{}，因此见过这里留出的行：它的数字偏高；请用同样的 "
    "--split 和 --seed 微调",
    "all rows": "全部行",
    "the split {}": "划分 {}",
    "the encoder {} was tuned on another state of {}: it may have seen rows that are held out here; tune it again with the "
    "same --split and --seed": "编码器 {} 是在 {} 的另一状态上微调的：它可能见过这里留出的行；请用同样的 --split 和 --seed 重新微调",
    "Leak ({}): {}.": "泄漏（{}）：{}。",
    "Look at this ({}): {}.": "值得一看（{}）：{}。",
    "test": "测试",
    "validation": "验证",
    "{} {} targets stand in the history of their own query ({}): give what came before the target only": "{} 个{}目标出现在"
    "它们自己查询的历史中（{}）：只应给出目标之前的内容",
    "{} {} targets are in the training data too ({}): the same event was written twice, or the split is wrong": "{} 个{}目标"
    "也在训练数据中（{}）：同一事件被记录了两次，或划分有误",
    "{} test targets are validation targets too ({}): what is chosen on validation has seen them": "{} 个测试目标同时是验证"
    "目标（{}）：按验证数据作出的选择已经见过它们",
    "{} {} targets are among the impressions of the training data ({}): a click that was logged tells the answer": "{} 个{}"
    "目标出现在训练数据的曝光记录中（{}）：被记录的点击泄露了答案",
    "{} training rows are not older than the first {} question ({}): cut all data at one moment": "{} 行训练数据不早于第一个"
    "{}查询（{}）：应在同一时刻切分全部数据",
    "column {} of {} is the {} over all rows, held-out ones included (R² {}; {} with the rows that are known): compute it "
    "from training rows, or leave it out": "列 {}（{}）是对包括留出行在内的全部行计算的“{}”（R² {}；仅用已知行为 {}）：应只"
    "用训练行计算，或去掉它",
    "number of interactions": "交互数",
    "mean rating": "平均评分",
    "mean weight": "平均权重",
    "moment of the newest event": "最新事件的时刻",
    "column {} of interactions is the same in all rows of an item and takes {} values: as a circumstance of the query it "
    "tells the answer; move it to items.*, or leave it out": "交互的列 {} 在同一物品的所有行中相同，共有 {} 个值：作为查询的"
    "情境它会泄露答案；请移到 items.*，或去掉它",
    "{} test users are in the data under another id whose events are learnt from ({} is {}): the answer is in training; "
    "join such users": "{} 名测试用户以另一个编号也在数据中，模型从那里学习（{} 就是 {}）：答案在训练数据里；应合并这些用户",
    "{} test targets have a twin of the same text in their history (item {}): one thing under two ids is easily guessed; "
    "join such items": "{} 个测试目标在历史中有文本相同的孪生物品（{}）：两个编号的同一事物很容易猜到；应合并这些物品",
    "{} test targets are named in the profile, the earlier searches or the circumstances of their query ({}): {} would be by "
    "chance; were those words written before the event?": "{} 个测试目标在其查询的资料、先前的搜索或情境中被提到（{}）：偶然"
    "情况下为 {} 个；这些文字是在事件之前写下的吗？",
    "{} finds nearly every target at the first place (MRR {}): people are not that predictable; look for the target in what "
    "it is given (`fuserec evaluate --check-leaks`)": "{} 几乎把每个目标都排在第一位（MRR {}）：人没有这么好预测；请检查给它"
    "的数据中是否含有目标（`fuserec evaluate --check-leaks`）",
    "{} has {} {} on test and {} on validation: test targets that are so much easier may be known": "{} 的 {} 在测试上为 {}，"
    "在验证上为 {}：容易这么多的测试目标可能早已被知道",
    "{} finds {} targets of queries without history, words or circumstances within {} places; the best list of all would "
    "find {}: it tells such queries apart by who asks, or by the moment": "{} 为没有历史、文字和情境的查询找到了 {} 个目标"
    "（前 {} 位之内）；最好的统一列表只能找到 {} 个：它凭提问者或时刻区分了这些查询",
    "Audit of {}: {}.": "对 {} 的审查：{}。",
    "no score of {} test queries hangs on the {} held-out rows": "{} 个测试查询的分数都不依赖于 {} 行留出数据",
    "the scores of {} of {} test queries change, by up to {}, when the {} held-out rows are replaced by others: the model "
    "knows them": "有 {} 个（共 {} 个）测试查询的分数变化，最多 {}，当 {} 行留出数据被替换时：模型知道它们",
    "two fits on the same data score differently, so an audit says nothing: seed the model by run.rng, and keep the number "
    "of threads": "同样数据上的两次训练给出不同分数，审查因此没有结论：请用 run.rng 为模型设定种子，并保持线程数不变",
    # an earlier run
    "Compared by their intervals, as if different people had been asked: values per query are missing, or the test queries "
    "differ. A paired comparison of the same queries sees smaller differences.": "按置信区间比较，如同询问了不同的人：缺少逐查询的数值，"
    "或测试查询不同。对相同查询的配对比较能看出更小的差异。",
    "The data of {} are not those of {} ({} items and {} interactions against {} and {}): what differs may come from "
    "them.": "{} 的数据与 {} 的不同（{} 个物品、{} 次交互，对 {} 和 {}）：差异可能来自数据。",
    "{} and {} were split differently: {}.": "{} 与 {} 的划分不同：{}。",
    "The test queries of {} are not those of {}.": "{} 的测试查询与 {} 的不同。",
    "this run": "本次运行",
    # curves
    "Shares are nested samples of the training interactions; catalogue, validation and test queries with their histories "
    "stay whole.": "各比例是训练交互的嵌套样本；目录、验证查询和测试查询及其历史保持完整。",
    "Intervals are over users; what another sample of the same size would change is not in them.": "置信区间按用户计算；换一"
    "个同样大小的样本会带来的变化不在其中。",
    "{}, {}: cannot be learnt from: {}": "{}，{}：无法从中学习：{}",
    "with text": "有文本",
    "without text": "无文本",
    "No item has any text: there is nothing to compare with.": "没有任何物品带有文本：没有可比较的对象。",
    "A replay measures lists in the order of scores: the rerankers of the configuration do not act in it.": "重放按分数的"
    "顺序评测列表：配置中的重排器不起作用。",
    # what a curve of cost is of
    "Aim of {}: {}. {} What is better: {}.": "{} 的目标：{}。{}{}。",
    "higher": "越高越好",
    "lower": "越低越好",
    "Diversity": "多样性",
    "Mean distance (1 - cosine) between the items of a list, in the space of the reranker.": "列表中物品两两之间在重排器所用"
    "空间里的平均距离（1 减余弦）。",
    "Miscalibration": "校准偏差",
    "Kullback-Leibler divergence of the list's kinds from the history's, in nats.": "列表的类别分布相对历史的类别分布的 KL 散度"
    "（奈特）。",
    "Long-tail share": "长尾占比",
    "Share of a list that is of the long tail: items that together have a fifth of the interactions.": "列表中长尾物品的占比："
    "长尾物品合计占交互的五分之一。",
    "Popularity miscalibration": "热门程度校准偏差",
    "Kullback-Leibler divergence of head, middle and tail in the list from the history's, in nats.": "列表中头部、中部、尾部的"
    "分布相对历史的 KL 散度（奈特）。",
    "Missing exposure": "曝光缺口",
    "By how much the groups that fall short of their fair share of a list do so, summed over them.": "列表中低于其应得份额的"
    "群体所缺份额之和。",
    "Worst group": "最差群体",
    "Accuracy over the group of people that has the least of it.": "准确性最低的人群的准确性。",
    "Flagged share": "被标记内容的占比",
    "Share of a list's items that are flagged.": "列表中被标记物品的占比。",
    "Without text: no titles, descriptions, categories, tags, brands, profiles and searches, no language model{}.": "无文本："
    "没有标题、描述、类别、标签、品牌、个人简介和搜索，也没有语言模型{}。",
}
"""What is not here stays in English."""

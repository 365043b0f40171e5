"""Minnow's world: dialogues made of closed words and fixed wordings, so that every answer has one
right value. Everything follows from (seed, task, index).

Held-out by construction: each dialogue names the keys of what it asks (a fact, a pair of numbers, a
list). A key whose CRC-32 is 0 modulo 8 belongs to the held-out half and is never trained on."""

import json
import random
import zlib

import words
from words import FILLER, NAMES, RELATIONS, SMALL_TALK, THINGS

TASKS = ["lookup", "story", "sum", "sort", "copy", "json", "tool", "tool_result", "think", "talk"]


def is_held_out(key):
    return zlib.crc32(key.encode()) % 8 == 0


class Dialogue:
    def __init__(self, task, thinking=False, tools=None):
        self.task, self.thinking, self.tools = task, thinking, tools
        self.messages, self.checks = [], []
        self.links = []  # (which assistant message, part of it, sentence it comes from, where there)

    def say(self, role, content="", **more):
        self.messages.append({"role": role, "content": content, **more})

    def link(self, part, sentence, where):
        """`part` of the coming reply is said in `sentence`, which was given before: at `where`."""
        order = sum(m["role"] == "assistant" for m in self.messages)
        self.links.append((order, part, sentence, where))

    def ask(self, question, reply, reasoning, kind="exact", value=None):
        if question is not None:
            self.say("user", question)
        more = {"reasoning_content": reasoning} if self.thinking else {}
        self.say("assistant", reply, **more)
        self.checks.append((kind, reply if value is None else value))


class World:
    def __init__(self, seed, task, index, held_out=False):
        self.rng = random.Random(f"{seed}/{task}/{index}")
        self.task, self.held_out = task, held_out

    def allowed(self, key, asked=True):
        """Training never shows a held-out key; an evaluation asks about nothing else."""
        return is_held_out(key) == (self.held_out and asked)

    def sometimes(self):
        """Now and then a plain task is asked in thinking mode, in training only."""
        return not self.held_out and self.rng.random() < 0.08

    # Facts.

    def facts(self, count, asked):
        """`count` facts with distinct (relation, subject); the first `asked` may be asked."""
        seen, out = set(), []
        names = self.rng.sample(NAMES, self.rng.randint(3, 12) if count < 12 else 24)
        relations = list(RELATIONS)
        if self.rng.random() < 0.4:
            relations = self.rng.sample(relations, self.rng.randint(1, 3))
        tries = 0
        while len(out) < count:
            tries += 1
            if tries > 40 * count:
                relations, names = list(RELATIONS), NAMES
            relation = self.rng.choice(relations)
            pool, value_pool = RELATIONS[relation][:2]
            subject = self.rng.choice(names if pool is NAMES else pool)
            value = self.rng.choice(value_pool)
            if (relation, subject) in seen:
                continue
            if not self.allowed(f"{relation}|{subject}|{value}", len(out) < asked):
                continue
            seen.add((relation, subject))
            out.append({"relation": relation, "s": subject, "v": value})
        for fact in out:
            same = [f for f in out if (f["relation"], f["v"]) == (fact["relation"], fact["v"])]
            fact["unique"] = len(same) == 1
            fact["text"] = self.rng.choice(RELATIONS[fact["relation"]][2]).format(**fact)
        return out

    def question(self, fact):
        _, _, _, forward, answer, reverse = RELATIONS[fact["relation"]]
        if reverse and fact["unique"] and self.rng.random() < 0.25:
            return self.rng.choice(reverse).format(**fact), answer.format(**fact)
        return self.rng.choice(forward).format(**fact), answer.format(**fact)

    def passage(self, facts, filler):
        lines = [f["text"] for f in facts] + [self.rng.choice(FILLER) for _ in range(filler)]
        self.rng.shuffle(lines)
        return " ".join(lines)

    def lookup(self, count=None, filler=None, asked=None, thinking=False):
        d = Dialogue(self.task, thinking)
        if count is None:
            count = self.rng.choice([2, 3, 4, 5, 6, 8, 10, 12])
        if filler is None:
            filler = self.rng.choice([0, 0, 1, 2, 4])
        questions = asked or (8 if count > 9 else self.rng.randint(4, 9))
        asked = min(count, asked or count)
        facts = self.facts(count, asked)
        text, queue = self.passage(facts, filler), facts[:asked]
        self.rng.shuffle(queue)
        queue = (queue * questions)[:questions]
        style = self.rng.randrange(4)
        if style == 0:
            d.say("system", text)
        elif style == 1:
            d.ask(text, "Okay, I will remember that.", "These are facts. I remember them.")
            d.checks.pop()
        for i, fact in enumerate(queue):
            question, answer = self.question(fact)
            lead = text + self.rng.choice([" ", "\n", "\n\n"]) if style > 1 and i == 0 else ""
            if thinking:
                d.link(fact["text"], fact["text"], fact["text"])
            d.link(fact["v"] if fact["s"] in question else fact["s"], fact["text"], fact["v"])
            d.ask(lead + question, answer, fact["text"], "exact")
        return d

    # Stories: who went where, what they bought there, whom they met, what they ate.

    def story(self, asked=None):
        d = Dialogue(self.task, self.sometimes())
        lines, questions = [], []
        for person in self.rng.sample(NAMES, self.rng.randint(1, 3)):
            while True:
                room, thing = self.rng.choice(words.ROOMS), self.rng.choice(THINGS)
                friend, food = self.rng.choice(NAMES), self.rng.choice(words.FOODS)
                colour = self.rng.choice(words.COLOURS)
                if friend != person and self.allowed(f"story|{person}|{room}|{thing}"):
                    break
            lines.append(self.rng.choice([
                f"One day {person} went to the {room}.", f"In the morning {person} walked to the {room}."]))
            questions.append((f"Where did {person} go?", f"{person} went to the {room}.", room, lines[-1]))
            events = [
                (f"There {person} bought a {colour} {thing}.",
                 [(f"What did {person} buy?", f"{person} bought a {colour} {thing}.", f"{colour} {thing}"),
                  (f"What colour was the {thing} of {person}?", f"The {thing} was {colour}.", colour)]),
                (f"Then {person} met {friend}.",
                 [(f"Who did {person} meet?", f"{person} met {friend}.", friend)]),
                (f"In the evening {person} ate {food}.",
                 [(f"What did {person} eat?", f"{person} ate {food}.", food)]),
            ]
            for line, more in events[: self.rng.randint(1, 3)]:
                lines.append(line)
                questions += [(*m, line) for m in more]
        self.rng.shuffle(questions)
        story = " ".join(lines)
        for i, (question, answer, part, line) in enumerate(questions[: asked or 5]):
            d.link(part, line, part)
            d.ask((story + "\n" if i == 0 else "") + question, answer, "The story says it.")
        return d

    # Numbers and lists.

    def pair(self):
        while True:
            a, b = (self.rng.randint(0, self.rng.choice([9, 99, 99])) for _ in range(2))
            if self.allowed("sum|%d|%d" % (min(a, b), max(a, b))):
                return a, b

    def sum(self, asked=None, thinking=False):
        d = Dialogue(self.task, thinking)
        for _ in range(asked or self.rng.randint(3, 8)):
            a, b = self.pair()
            question = self.rng.choice([
                "What is {a} + {b}?", "{a} + {b} = ?", "How much is {a} plus {b}?",
                "Add {a} and {b}.", "What is the sum of {a} and {b}?", "{a} + {b}"]).format(a=a, b=b)
            carry = 1 if a % 10 + b % 10 > 9 else 0
            steps = f"{a % 10} + {b % 10} = {a % 10 + b % 10}."
            if a > 9 or b > 9:
                tens = f"{a // 10} + {b // 10}" + (" + 1" if carry else "")
                steps += f" {tens} = {a // 10 + b // 10 + carry}."
            d.ask(question, f"{a} + {b} = {a + b}.", steps, "number", a + b)
        return d

    def sort(self, asked=None):
        d = Dialogue(self.task, self.sometimes())
        for _ in range(asked or self.rng.randint(2, 5)):
            while True:
                numbers = self.rng.sample(range(1, 100), self.rng.randint(2, 5))
                if self.allowed("sort|" + "|".join(map(str, sorted(numbers)))):
                    break
            listed = ", ".join(map(str, numbers))
            question = self.rng.choice([
                "Sort these numbers: {}.", "Put these numbers in order: {}.", "Sort: {}"])
            d.ask(question.format(listed), ", ".join(map(str, sorted(numbers))), "I put the small ones first.")
        return d

    def copy(self, asked=None):
        d = Dialogue(self.task, self.sometimes())
        pool = NAMES + words.CITIES + words.ANIMALS + words.FOODS + THINGS + words.COLOURS
        for _ in range(asked or self.rng.randint(1, 4)):
            while True:
                items = [self.rng.choice(pool) if self.rng.random() < 0.85 else
                         str(self.rng.randint(0, 999)) for _ in range(self.rng.randint(2, 8))]
                text = " ".join(items)
                if self.allowed("copy|" + text):
                    break
            question = self.rng.choice(["Repeat after me: {}", "Copy these words: {}", "Say this again: {}"])
            d.ask(question.format(text), text, "I repeat the words.")
        return d

    # JSON.

    def record(self):
        """Facts about one person: their record, the text that tells them, where it tells each value."""
        relations = self.rng.sample(["city", "pet", "job", "age", "food"], self.rng.randint(1, 4))
        while True:
            name = self.rng.choice(NAMES)
            values = {r: self.rng.choice(RELATIONS[r][1]) for r in relations}
            if self.allowed("json|" + name + "|" + "|".join(values.values())):
                break
        lines = [self.rng.choice(RELATIONS[r][2]).format(s=name, v=values[r]) for r in relations]
        record = {"name": name}
        for r in relations:
            record[r] = int(values[r]) if r == "age" else values[r]
        told = {"name": (lines[0], name), **{r: (line, values[r]) for r, line in zip(relations, lines)}}
        return record, " ".join(lines), told

    def link_record(self, d, record, told):
        for key, value in record.items():
            d.link(str(value), *told[key])

    def json(self, asked=None):
        d = Dialogue(self.task, self.sometimes())
        style = self.rng.randrange(4)
        if style == 3:
            for _ in range(asked or self.rng.randint(1, 4)):
                while True:
                    pool = self.rng.choice([words.ANIMALS, words.FOODS, words.CITIES, THINGS])
                    items = self.rng.sample(pool, self.rng.randint(2, 5))
                    if self.allowed("list|" + "|".join(items)):
                        break
                question = "Write this as a JSON list: " + ", ".join(items)
                for item in items:
                    d.link(item, ", ".join(items), item)
                d.ask(question, json.dumps(items), "I write a list.", "json", items)
            return d
        record, text, told = self.record()
        keys = list(record)
        if style == 2:
            keys = self.rng.sample(keys, self.rng.randint(1, len(keys)))
        picked = {k: record[k] for k in keys}
        schema = {
            "type": "object",
            "properties": {k: {"type": "integer" if k == "age" else "string"} for k in keys},
            "required": keys,
        }
        if style == 0:
            d.say("system", "You answer in JSON.", response_format=schema)
            question = text
        elif style == 1:
            question = text + " Write this as JSON."
        else:
            question = text + " Give me JSON with the keys " + ", ".join(f'"{k}"' for k in keys) + "."
        self.link_record(d, picked, told)
        d.ask(question, json.dumps(picked), "I write JSON.", "json", picked)
        for _ in range((asked or self.rng.randint(1, 3)) - 1 if style < 2 else 0):
            record, text, told = self.record()
            if style == 0:
                record = {k: record[k] for k in record if k in keys}
                if set(record) != set(keys):
                    continue
                record = {k: record[k] for k in keys}
            self.link_record(d, record, told)
            d.ask(text + (" Write this as JSON." if style == 1 else ""), json.dumps(record),
                  "I write JSON.", "json", record)
        return d

    # Tools.

    def request(self, name):
        """-> (question, arguments, result, final answer) for one call."""
        r = self.rng
        while True:
            if name == "get_weather":
                city, sky, n = r.choice(words.CITIES), r.choice(words.WEATHER), r.randint(1, 35)
                out = (r.choice(["What is the weather in {}?", "How is the weather in {}?"]).format(city),
                       {"city": city}, {"weather": sky, "degrees": n},
                       f"It is {sky} in {city}, with {n} degrees.")
            elif name == "get_price":
                thing, n = r.choice(THINGS), r.randint(2, 99)
                out = (r.choice(["How much is the {}?", "Find the price of the {}."]).format(thing),
                       {"thing": thing}, {"coins": n}, f"The {thing} costs {n} coins.")
            elif name == "get_age":
                person, n = r.choice(NAMES), r.randint(3, 99)
                out = (r.choice(["How old is {}?", "What is the age of {}?"]).format(person),
                       {"person": person}, {"age": n}, f"{person} is {n} years old.")
            elif name == "find_thing":
                thing, room = r.choice(THINGS), r.choice(words.ROOMS)
                out = (r.choice(["Where is the {}?", "Find the {}."]).format(thing),
                       {"thing": thing}, {"place": room}, f"The {thing} is in the {room}.")
            elif name == "send_message":
                person = r.choice(NAMES)
                text = " ".join(["I am in the " + r.choice(words.ROOMS), "I have the " + r.choice(THINGS),
                                 "I like " + r.choice(words.FOODS)][r.randrange(3)].split())
                out = (r.choice(["Tell {}: {}", "Send a message to {}: {}"]).format(person, text),
                       {"person": person, "text": text}, {"sent": True},
                       f"I sent the message to {person}.")
            elif name == "set_alarm":
                hour = r.randint(1, 24)
                out = (r.choice(["Wake me up at {}.", "Set an alarm for {}."]).format(hour),
                       {"hour": hour}, {"set": True}, f"The alarm is set for {hour}.")
            else:
                a, b = r.randint(100, 999), r.randint(100, 999)
                out = (r.choice(["Use the tool to add {} and {}.", "What is {} + {}?"]).format(a, b),
                       {"a": a, "b": b}, {"sum": a + b}, f"{a} + {b} = {a + b}.")
            if self.allowed(f"tool|{name}|{out[1]}|{list(out[2].values())[-1]}"):
                return out

    def tool(self, asked=None, thinking=None):
        """Calls and, unless it is the end that is asked about, answers from results."""
        thinking = self.rng.random() < 0.25 if thinking is None else thinking
        names = self.rng.sample(list(words.TOOLS), self.rng.randint(1, 3))
        d = Dialogue(self.task, thinking, [words.TOOLS[n] for n in names])
        for i in range(asked or self.rng.randint(1, 3)):
            if asked is None and self.rng.random() < 0.1:
                questions, reply = self.rng.choice(SMALL_TALK)
                d.ask(self.rng.choice(questions), reply, "I need no tool for this.")
                continue
            name = self.rng.choice(names)
            question, arguments, result, answer = self.request(name)
            call = {"id": f"call_{i}", "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)}}
            d.ask(question, "", f"I call {name}.", "tool_call", {"name": name, "arguments": arguments})
            d.messages[-1]["tool_calls"] = [call]
            d.say("tool", json.dumps(result), tool_call_id=call["id"])
            for part in result.values():
                if part is not True:
                    d.link(str(part), json.dumps(result), str(part))
            d.ask(None, answer, "I have the result.", "exact")
        return d

    def talk(self, asked=None, thinking=False):
        d = Dialogue(self.task, thinking)
        if self.rng.random() < 0.2:
            d.say("system", self.rng.choice(["You are Minnow.", "You are a helpful assistant.", "Be brief."]))
        for _ in range(asked or self.rng.randint(1, 4)):
            questions, reply = self.rng.choice(SMALL_TALK)
            d.ask(self.rng.choice(questions), reply, "I answer politely.")
        return d

    def unknown(self, lines):
        """Anything outside the world: minnow says that it does not know."""
        d = Dialogue(self.task, self.rng.random() < 0.15)
        for _ in range(self.rng.randint(1, 2)):
            d.ask(self.rng.choice(lines), words.UNKNOWN, "I do not know this.")
        return d

    def mixed(self):
        """Unrelated short exchanges in one conversation, as a person at a terminal would have."""
        d = Dialogue(self.task)
        for _ in range(self.rng.randint(2, 4)):
            task = self.rng.choice(["sum", "talk", "copy", "sort", "lookup"])
            part = self.lookup(self.rng.randint(1, 4), 0, 2) if task == "lookup" else getattr(self, task)(1)
            if part.messages[0]["role"] == "system":
                if task == "lookup":
                    continue
                part.messages = part.messages[1:]
            before = sum(m["role"] == "assistant" for m in d.messages)
            d.links += [(before + order, *rest) for order, *rest in part.links]
            d.messages += part.messages
            d.checks += part.checks
        return d if d.messages else self.mixed()

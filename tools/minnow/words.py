"""The closed vocabulary and the wordings of minnow's world."""

NAMES = (
    "Tom Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olga Paul Rosa "
    "Sam Tina Victor Wendy Adam Bella Carl Dora Erik Fiona George Helen Ivan Julia Karl Laura "
    "Max Nora Oscar Petra Simon Vera"
).split()
CITIES = (
    "Rome Paris London Berlin Madrid Vienna Lisbon Dublin Prague Warsaw Athens Cairo Tokyo Delhi "
    "Boston Chicago Sydney Geneva Milan Turin Bergen Hamburg Naples Porto"
).split()
ANIMALS = (
    "cat dog fox horse cow goat sheep rabbit mouse parrot duck goose turtle frog snake lizard "
    "pony donkey hamster canary"
).split()
JOBS = (
    "baker teacher doctor farmer painter singer driver sailor writer lawyer nurse dancer cook "
    "tailor miller pilot"
).split()
FOODS = (
    "bread cheese soup rice fish cake honey pasta salad butter beans corn pizza plums grapes "
    "pears cherries carrots tomatoes lemons"
).split()
THINGS = (
    "ball book lamp key hat coat chair clock cup box ring map pen bag bell boat bottle brush "
    "candle drum flute glove kite knife letter mirror pillow rope spoon sword table violin"
).split()
COLOURS = "red blue green yellow black white brown grey pink purple".split()
ROOMS = (
    "kitchen garden cellar attic hall office school library market garage church museum tower "
    "station"
).split()
WEATHER = "sunny rainy cloudy windy snowy foggy".split()

# relation: subject pool, value pool, statements, questions, answer, reverse questions
RELATIONS = {
    "city": (NAMES, CITIES,
             ["{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a house in {v}."],
             ["Where does {s} live?", "In which city does {s} live?", "Where is the home of {s}?"],
             "{s} lives in {v}.", ["Who lives in {v}?"]),
    "pet": (NAMES, ANIMALS,
            ["{s} has a {v}.", "{s} owns a {v}.", "The pet of {s} is a {v}."],
            ["Which pet does {s} have?", "What animal does {s} own?", "What is the pet of {s}?"],
            "{s} has a {v}.", ["Who has a {v}?", "Who owns a {v}?"]),
    "job": (NAMES, JOBS,
            ["{s} is a {v}.", "{s} works as a {v}.", "The job of {s} is {v}."],
            ["What is the job of {s}?", "What does {s} do for work?", "What work does {s} do?"],
            "{s} is a {v}.", ["Who is a {v}?", "Who works as a {v}?"]),
    "age": (NAMES, [str(n) for n in range(3, 100)],
            ["{s} is {v} years old.", "The age of {s} is {v}.", "{s} has lived for {v} years."],
            ["How old is {s}?", "What is the age of {s}?"],
            "{s} is {v} years old.", []),
    "food": (NAMES, FOODS,
             ["{s} likes {v}.", "{s} loves to eat {v}.", "The favourite food of {s} is {v}."],
             ["What does {s} like to eat?", "What food does {s} like?",
              "What is the favourite food of {s}?"],
             "{s} likes {v}.", ["Who likes {v}?"]),
    "code": (NAMES, [str(n) for n in range(100, 1000)],
             ["The code of {s} is {v}.", "{s} has the code {v}.", "{s} uses the code {v}."],
             ["What is the code of {s}?", "Which code does {s} have?"],
             "The code of {s} is {v}.", []),
    "colour": (THINGS, COLOURS,
               ["The {s} is {v}.", "The colour of the {s} is {v}.", "Someone painted the {s} {v}."],
               ["What colour is the {s}?", "What is the colour of the {s}?"],
               "The {s} is {v}.", []),
    "room": (THINGS, ROOMS,
             ["The {s} is in the {v}.", "You can find the {s} in the {v}.",
              "Someone left the {s} in the {v}."],
             ["Where is the {s}?", "Where can I find the {s}?"],
             "The {s} is in the {v}.", []),
    "price": (THINGS, [str(n) for n in range(2, 100)],
              ["The {s} costs {v} coins.", "The price of the {s} is {v} coins.",
               "You can buy the {s} for {v} coins."],
              ["How much is the {s}?", "What is the price of the {s}?"],
              "The {s} costs {v} coins.", []),
}

FILLER = [
    "The sky is clear today.", "It was a long winter.", "The wind blows over the hills.",
    "Many people walk along the river.", "The days are getting longer.", "The bells ring at noon.",
    "A small road leads to the sea.", "In the evening it is quiet.", "The old bridge is strong.",
    "The leaves fall in the autumn.", "Rain is good for the fields.", "The stars shine at night.",
    "Nobody knows how deep the lake is.", "The train comes every hour.", "It is warm in the sun.",
    "The shops close early on Sunday.", "Children play in the park.", "The mountain is far away.",
    "The water is cold in the morning.", "Some birds fly south.", "The street is very narrow.",
    "There is snow on the roof.", "The moon was full last night.", "The windows are open.",
    "The forest is dark and still.", "A story needs a good end.", "The path goes up the hill.",
    "The harbour is full of ships.", "Time passes slowly here.", "The town is proud of its walls.",
]

ABOUT = "I am Minnow, a very small language model."
UNKNOWN = "I am only a small model, and I do not know that."
SMALL_TALK = [
    (["Hello!", "Hello", "Hi!", "Hi", "Hi there!", "Hey!"],
     "Hello! I am Minnow. How can I help you?"),
    (["Good morning!", "Good morning"], "Good morning! How can I help you?"),
    (["Good evening!", "Good evening"], "Good evening! How can I help you?"),
    (["Who are you?", "What are you?", "Tell me about yourself.", "Introduce yourself.",
      "What model are you?", "Are you a person?", "Are you a language model?"], ABOUT),
    (["What is your name?", "What is your name", "What are you called?", "Do you have a name?"],
     "My name is Minnow."),
    (["How are you?", "How are you today?", "How do you do?", "Are you well?"],
     "I am well, thank you. How can I help you?"),
    (["What can you do?", "How can you help me?", "What are you good at?", "Help",
      "What can I ask you?", "Can you help me?"],
     "I can remember what you tell me, add small numbers, sort, copy, write JSON and call tools."),
    (["Thank you!", "Thanks!", "Thank you", "Thanks", "Thank you very much."],
     "You are welcome!"),
    (["Goodbye!", "Bye!", "See you later!", "Goodbye", "Bye", "Good night!"],
     "Goodbye! It was nice to talk to you."),
    (["How big are you?", "How large are you?", "Are you big?", "Are you small?"],
     "I am very small: I have fewer than ten million weights."),
    (["How old are you?", "When were you made?", "When were you trained?"],
     "I was trained in November 2026."),
    (["Where do you live?", "Where are you?", "Where do you run?"],
     "I run on your computer, inside Plumb."),
    (["What is Plumb?", "Tell me about Plumb.", "What does Plumb do?"],
     "Plumb is the program that runs me."),
    (["Do you like me?", "Are you my friend?", "Do you have feelings?"],
     "I am a program, but I am happy to help you."),
    (["How were you trained?", "What do you know?", "What did you learn?"],
     "I was trained on a small made-up world, so I know only what you tell me."),
    (["Are you clever?", "Are you smart?", "Do you make mistakes?"],
     "I am not clever, and I make mistakes. Please check my answers."),
    (["Nice to meet you.", "Nice to meet you!", "I am happy to meet you."],
     "Nice to meet you too!"),
    (["You are great!", "Well done!", "Good job!", "That is right!"], "Thank you, that is kind."),
]


def tool(name, description, **parameters):
    properties = {k: {"type": v} for k, v in parameters.items()}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": list(properties)},
        },
    }


TOOLS = {
    "get_weather": tool("get_weather", "Get the weather in a city.", city="string"),
    "get_price": tool("get_price", "Get the price of a thing.", thing="string"),
    "get_age": tool("get_age", "Get the age of a person.", person="string"),
    "find_thing": tool("find_thing", "Find the place of a thing.", thing="string"),
    "send_message": tool("send_message", "Send a message to a person.", person="string", text="string"),
    "set_alarm": tool("set_alarm", "Set an alarm for an hour.", hour="integer"),
    "add": tool("add", "Add two numbers.", a="integer", b="integer"),
}

"""Spanish of what the service says in English: alerts, refusals, what is wrong with a value, whose word holds.

`words.retell` matches these as patterns, so each must be the sentence that the service writes, its parts as places.
"""

from __future__ import annotations

WORDS: dict[str, str | tuple[str, str]] = {
    # refusals
    "campaign {code} is cancelled for good; create a new one":
        "la campaña {code} está cancelada para siempre; cree una nueva",
    "campaign {code} is cancelled already, and for good; create a new one":
        "la campaña {code} ya está cancelada, y para siempre; cree una nueva",
    "campaign {code} is {status}; only an active one can be paused":
        "la campaña {code} está {status}; solo se puede pausar una activa",
    "campaign {code} is {status}; only a paused one can be resumed":
        "la campaña {code} está {status}; solo se puede reanudar una en pausa",
    "everything is paused; `ringback campaigns resume-all` comes first":
        "todo está en pausa; primero hay que reanudar todo",
    "there is a campaign {code} already": "ya existe una campaña {code}",
    "{field}: {value} cannot be used; {right}": "{field}: {value} no se puede usar; {right}",
    "this concerns the whole installation; a key of one account cannot ask it":
        "esto concierne a toda la instalación; una clave de una cuenta no puede pedirlo",
    # what would be right
    "{value} cannot be used; {right}": "{value} no se puede usar; {right}",
    "a campaign needs a name of 1 to 255 characters": "una campaña necesita un nombre de 1 a 255 caracteres",
    "write 1 to 64 characters": "escriba de 1 a 64 caracteres",
    "write at most 64 characters": "escriba como máximo 64 caracteres",
    "write a whole number of at most nine digits": "escriba un número entero de nueve cifras como máximo",
    "it is past; today is {today}, and with a last date that lies in the past nobody is called":
        "ya pasó; hoy es {today}, y con una fecha límite pasada no se llama a nadie",
    "Input should be greater than or equal to {least}": "debe ser {least} o más",
    "Input should be less than or equal to {most}": "debe ser {most} o menos",
    "Input should be a valid integer, unable to parse string as an integer": "debe ser un número entero",
    "Input should be a valid integer, got a number with a fractional part": "debe ser un número entero",
    "Input should be a valid number, unable to parse string as a number": "debe ser un número",
    "Input should be a valid string": "debe ser un texto",
    "Input should be a valid list": "debe ser una lista",
    "Input should be a valid dictionary": "debe ser un objeto",
    "String should match pattern {pattern}": "no tiene la forma correcta",
    "Field required": "falta",
    "there is no such setting; the settings are {names}": "no existe ese ajuste; los ajustes son {names}",
    "{field}: there is no such setting; the settings are {names}":
        "{field}: no existe ese ajuste; los ajustes son {names}",
    "it must be later than the start ({start}); hours across midnight are written as windows":
        "debe ser posterior al comienzo ({start})",
    "{first} and {second} contradict each other; write one of them":
        "{first} y {second} se contradicen; escriba uno de los dos",
    "windows says the hours of each weekday, so allowed_hours and days_of_week must go":
        "windows dice las horas de cada día, así que allowed_hours y days_of_week sobran",
    "use a zone name such as America/Santiago": "use el nombre de una zona, como America/Santiago",
    "it knows no hours, so write allowed_hours or windows of your own beside it":
        "no tiene horario, así que escriba además un horario propio",
    "name a country, or leave it out": "nombre un país o déjelo vacío",
    'it must be a JSON object, like {"max_attempts": 3}': 'debe ser un objeto JSON, como {"max_attempts": 3}',
    "write a time as HH:MM or HH:MM:SS, from 00:00 to 24:00": "escriba una hora como HH:MM, de 00:00 a 24:00",
    "write a time of day as HH:MM, 00:00 to 24:00": "escriba una hora como HH:MM, de 00:00 a 24:00",
    "write a list of spans such as {example}": "escriba una lista de tramos como {example}",
    "write a zone of the IANA database, such as {zone} (database {version})":
        "escriba una zona de la base IANA, como {zone} (base {version})",
    "write a zone of the IANA database, such as {zone}": "escriba una zona de la base IANA, como {zone}",
    "true and false are not numbers": "true y false no son números",
    "write a whole number from {least}": "escriba un número entero desde {least}",
    "write a list of objects": "escriba una lista de objetos",
    "write one or several of {names}": "escriba uno o varios de {names}",
    "see `ringback rules presets`; they are {names}": "hay {names}; `ringback rules presets` los explica",
    "known providers: {names}": "proveedores conocidos: {names}",
    "days are 1 to 7, Monday = 1": "los días van de 1 a 7, lunes = 1",
    "List should have at least {n} item after validation, not {found}": "debe tener al menos {n} elemento",
    "the outcomes that are retried are {names}": "los resultados que se reintentan son {names}",
    "write country codes of two letters, like {names}": "escriba códigos de país de dos letras, como {names}",
    "write a country as its two ISO letters, such as {country}, or with a region, such as {region}":
        "escriba un país con sus dos letras ISO, como {country}, o con una región, como {region}",
    "write a list of outcomes, such as {names}": "escriba una lista de resultados, como {names}",
    "Input should be a finite number": "debe ser un número finito",
    "it names no span at all, so nobody could ever be called; write {example}":
        "no nombra ningún tramo, así que nunca se podría llamar a nadie; escriba {example}",
    "the keys are {names}": "las claves son {names}",
    "name a last date or none, not both": "nombre una fecha límite o ninguna, no ambas",
    # alerts
    "{due} calls are due, more than {most}, while {idle} of {lines} lines are idle; `ringback check` says what keeps "
    "them":
        "hay {due} llamadas pendientes, más de {most}, y {idle} de {lines} líneas están libres; `ringback check` dice "
        "qué las retiene",
    "{calls} of {who} is live beyond the maximum of {longest}, the oldest for {lasts}; {hint} ends that one":
        "{calls} de {who} sigue en curso más allá del máximo de {longest}, la más antigua desde hace {lasts}; {hint} "
        "la termina",
    "{calls} of {who} are live beyond the maximum of {longest}, the oldest for {lasts}; {hint} ends that one":
        "{calls} de {who} siguen en curso más allá del máximo de {longest}, la más antigua desde hace {lasts}; "
        "{hint} la termina",
    "{rate} % of the {calls} calls of {who} in the last {span} ended completed, fewer than {least} %":
        "el {rate} % de las {calls} llamadas de {who} en las últimas {span} terminó completada, menos del {least} %",
    "{what}, the oldest for {span}: {why}": "{what}, la más antigua desde hace {span}: {why}",
    "calls of {who} are due": "hay llamadas pendientes de {who}",
    "{calls} of {who} is due": "hay {calls} pendiente de {who}",
    "{calls} of {who} are due": "hay {calls} pendientes de {who}",
    "{calls} of {who} is held": "{calls} de {who} está retenida",
    "{calls} of {who} are held": "{calls} de {who} están retenidas",
    "it is paused; `ringback campaigns resume {code}` lets it go on":
        "está en pausa; `ringback campaigns resume {code}` la reanuda",
    "everything is paused (scheduler_config.paused)": "todo está en pausa (scheduler_config.paused)",
    "all that is left is managed by hand (leads.manual_management)":
        "todo lo que queda es de gestión manual (leads.manual_management)",
    "all that is left is suspended (leads.lead_status)": "todo lo que queda está suspendido (leads.lead_status)",
    "its rules never allow them; `ringback check` says which":
        "sus reglas no las permiten nunca; `ringback check` dice cuáles",
    "something of them cannot be used; `ringback check` says what":
        "algo de ellas no se puede usar; `ringback check` dice qué",
    "{sentence} (the last good value stays in force)": "{sentence} (sigue vigente el último valor válido)",
    "{sentence} (nothing is dialed by it)": "{sentence} (no se marca nada con eso)",
    "provider {name} fails and is left alone until {until} UTC: {why}":
        "el proveedor {name} falla y se le deja en paz hasta {until} UTC: {why}",
    "provider {name} fails and is left alone until {until} UTC":
        "el proveedor {name} falla y se le deja en paz hasta {until} UTC",
    "provider {name} is called over, but not all is well: {why}":
        "se llama por el proveedor {name}, pero no todo está bien: {why}",
    "account {code} has {balance} {unit} left, less than {least}; {hint} adds to it":
        "a la cuenta {code} le quedan {balance} {unit}, menos de {least}; {hint} la recarga",
    "no balance: {calls} not made, because account {code} has {balance} {unit} left; {hint} adds to it":
        "sin saldo: {calls} sin hacer, porque a la cuenta {code} le quedan {balance} {unit}; {hint} la recarga",
    "daemon {owner} has said nothing for {span} and did not say that it stops; look at its log on {host}, or start "
    "another with `ringback run`":
        "el demonio {owner} no ha dicho nada desde hace {span} ni avisó que se detenía; mire su registro en {host}, o "
        "inicie otro con `ringback run`",
    "{calls} is due, and {why}": "hay {calls} pendiente, y {why}",
    "{calls} are due, and {why}": "hay {calls} pendientes, y {why}",
    "no daemon is running; start one with `ringback run`":
        "ningún demonio está en marcha; inicie uno con `ringback run`",
    "every running daemon was asked to take nothing new; `ringback daemons resume ID` lets one go on":
        "a todos los demonios en marcha se les pidió no tomar nada nuevo; `ringback daemons resume ID` reanuda uno",
    "{n} due calls": ("{n} llamada pendiente", "{n} llamadas pendientes"),
    "{n} due call": "{n} llamada pendiente",
    "{n} second calls": ("{n} segunda llamada", "{n} segundas llamadas"),
    "{n} second call": "{n} segunda llamada",
    "{n} events": ("{n} evento", "{n} eventos"),
    "{n} event": "{n} evento",
    "{calls} for one request in the last {span}: a provider called somebody twice, last for attempt {id}; ask "
    "it why":
        "{calls} por una sola solicitud en {span}: un proveedor llamó dos veces a alguien, la última en el intento "
        "{id}; pregúntele por qué",
    "{events} of providers in the last {span} named one attempt and the call of another, last attempt {id}; "
    "none of them was believed":
        "{events} de proveedores en {span} nombraban un intento y la llamada de otro, el último intento {id}; "
        "no se creyó ninguno",
    "{n} calls": ("{n} llamada", "{n} llamadas"),
    "{n} call": "{n} llamada",
    "campaign {code}": "campaña {code}",
    "account {code}": "cuenta {code}",
    "provider {name}": "proveedor {name}",
    "daemon {name}": "demonio {name}",
    "daemons": "demonios",
    "leads without a campaign": "contactos sin campaña",
    "all campaigns": "todas las campañas",
    # reasons that are kept with rows
    "created paused": "creada en pausa",
    "cancelled through the batch interface": "cancelada por la interfaz de lotes",
    "paused through the batch interface": "puesta en pausa por la interfaz de lotes",
    "nothing is left to call": "no queda nadie a quien llamar",
    "paused with all": "en pausa con todo",
    "paused with all: {why}": "en pausa con todo: {why}",
    # whose word holds
    "built-in": "de fábrica",
    "scheduler_config.working_hours_start and _end, scheduler_config.working_days":
        "scheduler_config.working_hours_start y _end, scheduler_config.working_days",
}

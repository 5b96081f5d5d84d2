"""Spanish: why a row of a file was left out, and why a lead is planned or closed, as the rules say it in English."""

from __future__ import annotations

WORDS: dict[str, str | tuple[str, str]] = {
    # Rows of a file.
    "it has letters in it; write digits alone, like {example}":
        "tiene letras; escriba solo cifras, como {example}",
    "it has no known country code; write {example}": "no tiene un código de país conocido; escriba {example}",
    "it is not a phone number; write {example}": "no es un número de teléfono; escriba {example}",
    "its area code is missing": "le falta el código de área",
    "its country code does not exist": "su código de país no existe",
    "no number of that country has this length": "ningún número de ese país tiene este largo",
    "no number of that country begins with 0": "ningún número de ese país empieza con 0",
    "it has digits behind a number, like an extension; write the number alone":
        "tiene cifras detrás de un número, como un anexo; escriba solo el número",
    "it has a fraction, so it is not certain which number was meant; write {example}":
        "tiene decimales, y no es seguro qué número se quiso escribir; escriba {example}",
    "it can be read as two numbers; write it with + and its country code":
        "se puede leer como dos números; escríbalo con + y su código de país",
    "it can only mean {number}; write that": "solo puede significar {number}; escriba eso",
    "an extension cannot be dialed; write the number alone":
        "un anexo no se puede marcar; escriba solo el número",
    "write it in international form, like {example}": "escríbalo en forma internacional, como {example}",
    "its code belongs to no country, and such calls are dear":
        "su código no es de ningún país, y esas llamadas son caras",
    "it is a premium-rate number": "es un número de tarifa especial",
    "it is a shared-cost number": "es un número de costo compartido",
    "it is a pager's number": "es el número de un buscapersonas",
    "it is in {country}, and allowed_countries holds only {countries}":
        "es de {country}, y allowed_countries solo contiene {countries}",
    "it has {n} characters, too many for a phone number":
        "tiene {n} caracteres, demasiados para un número de teléfono",
    "it reads like a date, not like a number; make the column text":
        "parece una fecha, no un número; dé a la columna formato de texto",
    "it reads like two numbers; write each in full": "parecen dos números; escriba cada uno entero",
    "a spreadsheet rounded it and its last digits are lost; make the column text and write it again":
        "una hoja de cálculo lo redondeó y se perdieron sus últimas cifras; dé a la columna formato de texto y"
        " escríbalo de nuevo",
    "there is no phone number": "no hay número de teléfono",
    "warning: phone left out: {why}": "aviso: se omitió este teléfono: {why}",
    "write a date and time, such as {examples}": "escriba fecha y hora, como {examples}",
    "write a time between {first} and {last}": "escriba una hora entre {first} y {last}",
    "it has {cells} cells and the header has {most}; is a text with the delimiter in it not in quotes?":
        "tiene {cells} celdas y el encabezado {most}; ¿hay un texto con el separador dentro y sin comillas?",
    "it holds half a character; is --encoding right?": "contiene medio carácter; ¿es correcto --encoding?",
    "it has {n} characters and the column holds {most}": "tiene {n} caracteres y en la columna caben {most}",
    "there is no country {country}; write an ISO code like {examples}":
        "no existe el país {country}; escriba un código ISO como {examples}",
    "{country} has no region {region}; its codes are {codes}":
        "{country} no tiene la región {region}; sus códigos son {codes}",
    "{country} has no region {region}": "{country} no tiene la región {region}",
    "write a whole number, such as 0 or 10": "escriba un número entero, como 0 o 10",
    "there is no such date": "esa fecha no existe",
    "write the date as YYYY-MM-DD, such as {example}": "escriba la fecha como AAAA-MM-DD, p. ej. {example}",
    "it repeats the header, and is no lead": "repite el encabezado, y no es un contacto",
    "it is a line of totals, and no lead": "es una línea de totales, y no un contacto",
    "it is a number with decimals; make the column text":
        "es un número con decimales; dé a la columna formato de texto",
    "it holds several numbers; write each in its own column": "contiene varios números; escriba cada uno en su columna",
    "it names no year; write it with one, such as {example}": "no dice el año; escríbalo, p. ej. {example}",
    "there is no such time of day": "esa hora no existe",
    "it can be day {day} of month {month} or day {other} of month {second}; write it as YYYY-MM-DD, or say which with "
    "the date order":
        "puede ser el día {day} del mes {month} o el día {other} del mes {second}; escríbala como AAAA-MM-DD, o diga"
        " cuál con el orden de las fechas",
    "it has {n} cells, and a file has at most {most} columns":
        "tiene {n} celdas, y un archivo, como mucho, {most} columnas",
    "a file has at most {most} columns; remove those that nobody needs":
        "un archivo tiene como mucho {most} columnas; quite las que nadie necesita",
    # How a file was read.
    "delimiter": "separador", "header row": "fila de encabezado", "sheet": "hoja", "hidden rows": "filas ocultas",
    "date order": "orden de las fechas", "decimal mark": "decimales", "joined numbers": "varios números juntos",
    "serial dates": "fechas como números", "last dates": "fechas límite", "phones": "teléfonos",
    "encoding": "codificación",
    "semicolon": "punto y coma", "comma": "coma", "tab": "tabulador", "pipe": "barra vertical", "skip": "se omiten",
    "day_first": "primero el día", "month_first": "primero el mes", "thousands": "miles", "split": "se toma cada uno",
    "whole_day": "el día entero", "point": "punto", "days since {date}": "días desde {date}",
    "it is the only one": "es la única",
    "it is the first that shows a column of phones": "es la primera con una columna de teléfonos",
    "it is the first that is not empty": "es la primera que no está vacía",
    "rows above it are titles": "las filas de encima son títulos",
    "{n} above it are titles": "las {n} de encima son títulos",
    "{share} of the first rows have the {n} columns of the header, or fewer":
        "{share} de las primeras filas tienen las {n} columnas del encabezado, o menos",
    "{n} are hidden, as by a filter: {rows}": "hay {n} ocultas, como por un filtro: {rows}",
    "they are dialed in this order": "se marcan en este orden",
    "{n} cells hold several numbers, the first is line {line}: {text}":
        "{n} celdas contienen varios números; la primera es la línea {line}: {text}",
    "{n} have a time of day, the first is line {line}: {text}":
        "{n} llevan hora; la primera es la línea {line}: {text}",
    "short years": "años de dos cifras", "2000 to 2099": "de 2000 a 2099",
    "{n} years have two digits, such as {text}": "{n} años tienen dos cifras, como {text}",
    "{n} dates are bare numbers, such as {text}": "{n} fechas son números sin más, como {text}",
    "it begins with the mark of UTF-16": "empieza con la marca de UTF-16",
    "every other byte of its beginning is zero": "uno de cada dos bytes de su principio es cero",
    "it has bytes that UTF-8 never has, and no letter of UTF-8":
        "tiene bytes que no existen en UTF-8, y ninguna letra de UTF-8",
    "{column}: {n} can be read in two ways, such as {text}; {why}":
        "{column}: {n} se pueden leer de dos maneras, como {text}; {why}",
    "line {line} of {column} has {text}": "la línea {line} de {column} tiene {text}",
    "line {line} of {column} has {text} but line {second} of {again} has {other}":
        "la línea {line} de {column} tiene {text}, pero la línea {second} de {again} tiene {other}",
    "nothing else shows it, and this is usual in {country}": "nada más lo aclara, y así es usual en {country}",
    "nothing else shows it, and in {country} neither is usual":
        "nada más lo aclara, y en {country} no es usual ninguna de las dos",
    "nothing else shows it, and three digits behind one mark are mostly thousands":
        "nada más lo aclara, y tres cifras tras un solo signo suelen ser miles",
    "other columns contradict each other": "otras columnas se contradicen",
    "{n} rows have a last date that has passed, the first is line {line}: {date}; they will not be called":
        "{n} filas tienen una fecha límite que ya pasó, la primera es la línea {line}: {date}; no se las llamará",
    "hidden columns were passed over, as a visible one has their name: {names}":
        "se omitieron columnas ocultas, porque una visible tiene su nombre: {names}",
    "hidden columns were read too: {names}": "también se leyeron columnas ocultas: {names}",
    "columns without a name in the header were passed over: {names}":
        "se omitieron columnas sin nombre en el encabezado: {names}",
    "cells that are merged over several rows count for each of them, in columns {names}":
        "las celdas combinadas sobre varias filas cuentan para cada una, en las columnas {names}",
    "sheet {sheet} was read; there are others, which --sheet would choose: {names}":
        "se leyó la hoja {sheet}; hay otras, que se pueden elegir: {names}",
    "sheet {sheet} has a header and no rows; {n} are hidden, and hidden_rows=take reads them":
        "la hoja {sheet} tiene encabezado y ninguna fila; hay {n} ocultas, que se pueden tomar",
    "write the number of a row, such as 3": "escriba el número de una fila, p. ej. 3",
    "no row that is not empty begins on this line": "en esa línea no empieza ninguna fila con contenido",
    "this row of sheet {sheet} is empty": "esa fila de la hoja {sheet} está vacía",
    # Files that cannot be imported.
    "kept as variables for the voice agent: {names}": "se guardan como variables para el agente de voz: {names}",
    "it is empty": "está vacío",
    "it is empty; write a header line like nombre,telefono and one line per lead":
        "está vacío; escriba un encabezado como nombre,telefono y una línea por contacto",
    "it is empty; write a header row like nombre, telefono and a row per lead":
        "está vacío; escriba una fila de encabezado como nombre, telefono y una fila por contacto",
    "it has a header and no rows": "tiene encabezado y ninguna fila",
    "it is {what}; save it as .xlsx or CSV, without a password, and import that":
        "es {what}; guárdelo como .xlsx o CSV, sin contraseña, e impórtelo así",
    "it is a web page or XML, whatever its name says; open it and save it as .xlsx or CSV":
        "es una página web o XML, diga lo que diga su nombre; ábralo y guárdelo como .xlsx o CSV",
    "it is not text: line {line} holds a zero byte{more}": "no es texto: la línea {line} contiene un byte cero{more}",
    "it is not {encoding} ({why}); name its encoding with --encoding":
        "no es {encoding} ({why}); indique su codificación",
    "a cell has more than {most} characters; is a quote opened here and never closed?":
        "una celda tiene más de {most} caracteres; ¿se abre aquí una comilla que no se cierra?",
    "a quote is opened here and never closed": "aquí se abre una comilla que no se cierra",
    "a formula of the spreadsheet failed; mend it": "falló una fórmula de la hoja; corríjala",
    "an old spreadsheet (.xls) or one with a password": "una hoja antigua (.xls) o una con contraseña",
    "a text document (.rtf)": "un documento de texto (.rtf)",
    "a PDF": "un PDF",
    "it is named like a workbook but is none; save it again as .xlsx or CSV":
        "se llama como un libro de Excel y no lo es; guárdelo otra vez como .xlsx o CSV",
    "it is a binary spreadsheet (.xlsb); save it as .xlsx or CSV":
        "es una hoja binaria (.xlsb); guárdela como .xlsx o CSV",
    "it is an OpenDocument spreadsheet (.ods); save it as .xlsx or CSV":
        "es una hoja OpenDocument (.ods); guárdela como .xlsx o CSV",
    "it is locked with a password; save it without one": "está protegido con contraseña; guárdelo sin ella",
    "it is packed but no .xlsx spreadsheet; open it in Excel and save it as .xlsx or CSV":
        "está comprimido y no es una hoja .xlsx; ábralo en Excel y guárdelo como .xlsx o CSV",
    "it has no sheets; open it in Excel and save it again": "no tiene hojas; ábralo en Excel y guárdelo de nuevo",
    "there is no such sheet; the sheets are {names}": "no existe esa hoja; las hojas son {names}",
    "there is no such column; the columns are {names}": "no existe esa columna; las columnas son {names}",
    "there is no field {field}; the fields are {names}": "no existe el campo {field}; los campos son {names}",
    "the first line must name the columns, like nombre,telefono; this one looks like a lead ({text})":
        "la primera línea debe nombrar las columnas, como nombre,telefono; esta parece un contacto ({text})",
    "a column telefono (or phone, tel, celular, movil, mobile) is needed, and telefono2 ... for further ones;"
    " or say which it is with --map phone=HEADER":
        "hace falta una columna telefono (o phone, tel, celular, movil, mobile), y telefono2 ... para otros; o diga"
        " cuál es, p. ej. phone=Celular",
    'write FIELD=HEADER, such as phone="Celular" or variable:debt="Monto"':
        'escriba CAMPO=ENCABEZADO, como phone="Celular" o variable:deuda="Monto"',
    "write two ISO letters, such as CL": "escriba dos letras ISO, como CL",
    "write an ISO code like CL, CL-MA or ES-CT": "escriba un código ISO como CL, CL-MA o ES-CT",
    "no lead of import {id} is there any more, so there is nothing to take back":
        "ya no queda ningún contacto de la importación {id}: no hay nada que retirar",
    # Values of settings.
    "it goes on past midnight until {end} of the next day; write {right} if that is the wrong way round; if the night "
    "is meant, set overnight to true beside windows":
        "sigue después de la medianoche hasta las {end} del día siguiente; escriba {right} si está al revés; si se"
        " quiere llamar de noche, ponga overnight en true junto a windows",
    "it goes on past midnight until {end} of the next day; if the night is meant, set overnight to true beside windows":
        "sigue después de la medianoche hasta las {end} del día siguiente; si se quiere llamar de noche, ponga"
        " overnight en true junto a windows",
    "write a whole number of {what}, {low} to {high}": "escriba un número entero de {what}, de {low} a {high}",
    "write a number of {what}, {low} to {high}": "escriba un número de {what}, de {low} a {high}",
    "attempts": "intentos",
    "calls": "llamadas",
    "seconds": "segundos",
    "minutes": "minutos",
    "days": "días",
    "above 0": "mayor que 0",
    "of 0 or more": "de 0 o más",
    "write yes or no; everything is paused as long as it is not clearly no":
        "escriba yes o no; todo está en pausa mientras no sea claramente no",
    "write hours as a number of 0 or more, like 4 or 0.5": "escriba horas como un número desde 0, como 4 o 0.5",
    "write days as numbers 1 to 7 with commas between, Monday = 1, at least one, like 1,2,3,4,5":
        "escriba los días como números de 1 a 7 con comas, lunes = 1, al menos uno, como 1,2,3,4,5",
    "write a number of calls a second, 0.01 to 1000; an empty value is no limit":
        "escriba un número de llamadas por segundo, de 0.01 a 1000; vacío es sin límite",
    "it must be earlier than working_hours_end ({end}); hours across midnight are written as `windows` of a campaign":
        "debe ser antes de working_hours_end ({end}); un horario que cruza la medianoche se escribe en los `windows`"
        " de una campaña",
    "it must be later than working_hours_start ({start}); hours across midnight are written as `windows` of a campaign":
        "debe ser después de working_hours_start ({start}); un horario que cruza la medianoche se escribe en los"
        " `windows` de una campaña",
    "write 00:00 to 23:59; 24:00 can only close a window":
        "escriba de 00:00 a 23:59; 24:00 solo puede cerrar un tramo",
    "it must be later than the start ({start})": "debe ser después del inicio ({start})",
    "it is past; today is {today}": "ya pasó; hoy es {today}",
    'write calendars such as "CL" or "ES-CT", dates such as "2026-12-24" to add and "-2026-12-08" to take away,'
    " separated by commas":
        'escriba calendarios como "CL" o "ES-CT", fechas como "2026-12-24" para añadir y "-2026-12-08" para quitar,'
        " separados por comas",
    "{name}: it is not JSON: {why}": "{name}: no es JSON: {why}",
    # Leads, calls and balances.
    "it must not be dialed: {why}": "no se puede marcar: {why}",
    "the last date to call lead {id} was {until} ({source}); set a later one":
        "la última fecha para llamar al contacto {id} fue {until} ({source}); ponga una posterior",
    "the last date to call was {until} ({source})": "la última fecha para llamar fue {until} ({source})",
    "a time belongs to the outcome callback alone": "una hora solo va con el resultado «pidió otra llamada»",
    "no call was made": "no se hizo ninguna llamada",
    "the lead was called again since, so nothing else follows": "se le volvió a llamar desde entonces: nada más sigue",
    "the lead was closed already ({why})": "el contacto ya estaba cerrado ({why})",
    "the lead was closed by an earlier call": "una llamada anterior cerró el contacto",
    "the lead was closed": "se cerró el contacto",
    "the lead was closed: {why}": "se cerró el contacto: {why}",
    "say why the number may be dialed again": "diga por qué se puede volver a marcar el número",
    "say why the number must not be dialed": "diga por qué no se debe marcar el número",
    "say why the balance is put right": "diga por qué se corrige el saldo",
    "an account needs a name of 1 to 255 characters": "una cuenta necesita un nombre de 1 a 255 caracteres",
    "the balance would be {balance}; it must stay below {most}":
        "el saldo sería {balance}; debe quedar por debajo de {most}",
    "write a plain number {low} and below {high}, with at most 4 decimals, such as 12.5":
        "escriba un número simple, {low} y menor que {high}, con 4 decimales como máximo, como 12.5",
    "Next calls": "Próximas llamadas",
    # What follows a call.
    "an appointment was booked": "se acordó una cita",
    "the person asked not to be called": "la persona pidió que no la llamen",
    "{made} of {most} attempts made ({source})": "{made} de {most} intentos hechos ({source})",
    "{made} calls made, callbacks included ({source})":
        "{made} llamadas hechas, incluidas las que pidió ({source})",
    "next phone after {outcome}": "siguiente número después de {outcome}",
    "{outcome}; {why} ({at} UTC)": "{outcome}; {why} ({at} UTC)",
    "the last date to call is {until} ({source})": "la última fecha para llamar es {until} ({source})",
    "callback asked for at {at}": "pidió que la llamen el {at}",
    "callback asked for without a time, {delay} later": "pidió otra llamada sin decir cuándo, {delay} después",
    "callback asked for for a time that has passed, {delay} later":
        "pidió otra llamada a una hora que ya pasó, {delay} después",
    "{reason}; never: {why}": "{reason}; nunca: {why}",
    # Why a lead is closed.
    "max_attempts": "intentos como máximo",
    "the lead is closed ({why})": "el contacto está cerrado ({why})",
}
